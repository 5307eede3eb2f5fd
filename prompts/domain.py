"""A domain: the words for items, users and their aspects. Films, books and news differ only in these."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from jinja2 import Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import ValidationError

from base.frozen import Frozen
from prompts.faults import unfit
from prompts.untrusted import as_data, as_field, shown_as_data

FOLDER = Path(__file__).parent / "domains"
OWN_NAMES = ("item", "title")
"""Columns of every catalogue that are no field of it."""


class Domain(Frozen):
    """The words of one domain, read from a YAML file in `prompts/domains/` or from the user's own file."""

    noun: str
    """The word for one item: `movie`."""
    plural: str
    """The word for several items: `films`."""
    history: str
    """The word for a user's past: `viewing history`."""
    item_factors: tuple[str, ...]
    """The aspects an answer about an item must cover (KAR, section 4.1: factorised prompting)."""
    user_factors: tuple[str, ...]
    """The aspects an answer about a user may draw on."""
    decisions: tuple[str, str] = ("does not like", "likes")
    """What a user does with an item whose label is 0, and whose label is 1."""
    unrated: Literal["positives", "decisions"] | None = None
    """How a history shows events that have a label and no rating: `positives` leaves out those of label 0, `decisions`
    shows all and marks each by the words above. Needed where events have no rating."""
    name: str
    """Jinja2 text: the name of an item in a history."""
    description: str | None = None
    """Jinja2 text: the description of an item as the subject of a prompt; by default its title, then every other
    mapped field that has a value, as `field: value`."""

    @cached_property
    def _templates(self) -> tuple[Template, Template | None]:
        environment = SandboxedEnvironment(autoescape=False, finalize=shown_as_data)
        described = None if self.description is None else environment.from_string(self.description)
        return environment.from_string(self.name), described

    def item_name(self, item: Mapping[str, Any]) -> str:
        """Return the name of an item in a history, such as `Heat (1995)`, as data on one line."""
        fields = {name: as_field(value, one_line=True) for name, value in shown(item).items()}
        return as_data(self._templates[0].render(**fields))  # again: a token may arise from fields and marks

    def item_description(self, item: Mapping[str, Any]) -> str:
        """Return the description of an item in a prompt as data, such as `Heat (1995) [Action, Crime, Thriller]`."""
        fields = {name: as_field(value, one_line=name in OWN_NAMES) for name, value in shown(item).items()}
        described = self._templates[1]
        return as_data(every_field(fields) if described is None else described.render(**fields))

    def event(self, name: str, rating: float | None, label: float) -> str:
        """Format one event of a history: `Heat (1995): 4.5`; without a rating, its name or `Heat (1995): likes`."""
        if rating is not None:
            return f"{name}: {rating:g}"
        return f"{name}: {self.decisions[int(label)]}" if self.unrated == "decisions" else name


def every_field(item: Mapping[str, Any]) -> str:
    """Show an item by its title and all other fields that have a value.

    Example:
        >>> every_field({"item": "7", "title": "Runner", "brand": ["Acme"], "price": 10.0, "note": None})
        'Runner; brand: Acme; price: 10'
    """
    parts = [str(item["title"])]
    for name, value in shown(item).items():
        text = ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
        if name not in OWN_NAMES and text not in (None, ""):
            parts.append(f"{name}: {text}")
    return "; ".join(parts)


def shown(item: Mapping[str, Any]) -> dict[str, Any]:
    """Format an item's fields for templates: whole numbers lose their `.0`, missing numbers stay None.

    Example:
        >>> shown({"title": "Heat", "year": 1995.0, "length": 2.5, "price": None})
        {'title': 'Heat', 'year': '1995', 'length': '2.5', 'price': None}
    """
    return {name: f"{value:.15g}" if isinstance(value, float) else value for name, value in item.items()}


def domain_files(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Return the file of every domain by its name; the `domains/` of a later folder shadow earlier ones and ours."""
    return {path.stem: path for at in (FOLDER, *(one / "domains" for one in folders)) for path in at.glob("*.yaml")}


def load_domain(name: str, folder: Path | None = None, folders: Sequence[Path] = ()) -> Domain:
    """Read a domain by its name (`films`) or by the path of a YAML file.

    Args:
        name: A name in `prompts/domains/`, or a path ending in `.yaml`.
        folder: Base of a relative path; the folder of knowflow.yaml.
        folders: Folders that may have domains in `domains/`; a later one shadows an earlier one and ours.

    Raises:
        WrongUse: There is no such domain, or its file is not valid.
    """
    named = domain_files(folders)
    is_path = name.endswith((".yaml", ".yml"))
    path = (folder or Path()) / name if is_path else named.get(name, FOLDER / f"{name}.yaml")
    if not path.is_file():
        known = ", ".join(sorted(named))
        raise unfit(str(path), "there is no such domain file", f"use one of {known}, or the path of your own file")
    try:
        domain = Domain.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        _ = domain._templates
    except yaml.YAMLError as error:
        raise unfit(
            str(path), f"is not YAML: {error}", "fix the file; see prompts/domains/films.yaml for an example"
        ) from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise unfit(str(path), faults, "fix the file; see prompts/domains/films.yaml for an example") from None
    except TemplateError as error:
        raise unfit(str(path), f"a template does not parse: {error}", "fix `name` or `description`") from None
    return domain
