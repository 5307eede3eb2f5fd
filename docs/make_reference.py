"""Writes docs/reference/knowflow-yaml.md from the config classes: run `python docs/make_reference.py`."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.config import Config
from base.plugins import find
from encoders.choose import ENCODERS
from engines.choose import ENGINES
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.task import TaskOptions
from recommenders.protocol import RECOMMENDERS

PAGE = Path(__file__).parent / "reference" / "knowflow-yaml.md"
COMMAND = "python docs/make_reference.py"
HEAD = f"""<!-- Written by `{COMMAND}` from the docstrings in the code; edit those, not this page. -->
# knowflow.yaml

Every setting, with its type and its default; *required* settings have none.
`knowflow init` writes a first file for your data, with a comment on each line.
Relative paths are relative to the file. All wrong or unknown settings are reported at once, each with its name.

```yaml
events: {{path: events.csv, user: user_id, item: item_id, time: timestamp, rating: rating}}
label: {{rating_at_least: 4}}
items: {{path: items.csv, id: item_id, title: title}}
```
"""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
WORDS |= {Path: "path", date: "date", datetime: "time", Any: "anything"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "not empty"}
NOT_IN_THE_FILE = ("path", "source")


def page() -> str:
    """Return the whole page.

    Example:
        >>> page().splitlines()[1]
        '# knowflow.yaml'
    """
    source = Config.model_fields["source"].annotation
    assert isinstance(source, type)
    assert issubclass(source, BaseModel)
    top = {name: field for name, field in Config.model_fields.items() if name not in NOT_IN_THE_FILE}
    fields = {**source.model_fields, **top}
    parts = [HEAD, section("At the top", "The sections, and the settings outside of sections.", fields, "")]
    for place, config in classes(fields, ""):
        about = (config.__doc__ or "").splitlines()[0] if config.model_fields else "Each has options of its own, below."
        parts.append(section(place, about, config.model_fields, f"{place}."))
        parts += [section(title, about, options, at) for title, about, options, at in of_kinds(place)]
    return "\n".join(parts)


def of_kinds(place: str) -> Iterator[tuple[str, str, dict[str, FieldInfo], str]]:
    """Yield the options that built-in plug-ins declare: heading, description, options, and their prefix."""
    if place == "engine":
        for name, engine in find(ENGINES).items():
            prefix = "engine.options."
            yield (
                f"engine.options of {name}",
                f"With `engine.name: {name}`: {engine.about}.",
                engine.options.model_fields,
                prefix,
            )
            for inner, config in classes(engine.options.model_fields, prefix):
                yield inner, (config.__doc__ or "").splitlines()[0], config.model_fields, f"{inner}."
    if place == "encoders.NAME":
        for name, encoder in find(ENCODERS).items():
            about = f"With `kind: {name}`: {encoder.about}."
            yield f"encoders.NAME of kind {name}", about, encoder.options.model_fields, "encoders.NAME."
    if place == "recommenders.NAME":
        for name, one in find(RECOMMENDERS).items():
            if one.options.model_fields:
                at = f"recommenders.{name}"
                yield at, f"{(one.options.__doc__ or '').splitlines()[0]}", one.options.model_fields, f"{at}."
    if place == "tasks.NAME":
        for name, task in find_tasks().items():
            own = {key: one for key, one in task.options.model_fields.items() if key not in TaskOptions.model_fields}
            if own:
                about = (task.options.__doc__ or "").splitlines()[0]
                yield f"tasks.{name}", f"{about} Options of every task are listed above.", own, f"tasks.{name}."


def classes(fields: dict[str, FieldInfo], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every config class under some fields, with the name of its section: `tasks.NAME.only`."""
    for name, field in fields.items():
        for config in _configs(field.annotation):
            place = f"{prefix}{name}" + (".NAME" if _is_mapping(field.annotation) else "")
            yield place, config
            yield from classes(config.model_fields, f"{place}.")


def section(title: str, doc: str, fields: dict[str, FieldInfo], prefix: str) -> str:
    """A heading, a sentence and a table of settings, where there are any."""
    lines = [f"## {title}", "", doc]
    if fields:
        lines += ["", "| setting | type | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        what = " ".join((field.description or "").split())
        cells = [f"`{name}`", _type(field, f"{prefix}{name}"), _default(field), what]
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type(field: FieldInfo, place: str) -> str:
    return ", ".join([_words(field.annotation, place), *_bounds(field.metadata)])


def _bounds(metadata: Iterable[Any]) -> list[str]:
    plain = [one for given in metadata for one in (given.metadata if isinstance(given, FieldInfo) else [given])]
    found = [(name, getattr(one, name)) for one in plain for name in BOUNDS if getattr(one, name, None) is not None]
    return [f"{BOUNDS[name]} {value}" if name != "min_length" else BOUNDS[name] for name, value in found]


def _words(kind: Any, place: str) -> str:
    origin, inner = get_origin(kind), [one for one in get_args(kind) if one is not type(None)]
    if origin is None:
        return WORDS.get(kind) or f"[settings](#{re.sub(r'[^a-z0-9_-]', '', place.lower())})"
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if origin is dict:
        return f"mapping of names to {_words(inner[1], f'{place}.NAME')}"
    parts = [_words(one, place) for one in inner if one is not Ellipsis]
    if origin is Annotated:
        bounds = ", ".join(_bounds(kind.__metadata__))
        return f"{parts[0]} ({bounds})" if bounds else parts[0]
    if origin is tuple:
        return f"list of: {parts[0]}" if Ellipsis in inner else f"[{', '.join(parts)}]"
    return " or ".join(parts)  # a union


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    return f"`{json.dumps(_plain(value), default=str, ensure_ascii=False)}`"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def _configs(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [config for one in get_args(kind) for config in _configs(one)]


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) is dict or any(_is_mapping(one) for one in get_args(kind))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
