"""A prompt file: YAML front matter and Jinja2 text, one file per version."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import ConfigDict, Field, ValidationError, field_validator

from base.frozen import Frozen
from prompts.domain import Domain
from prompts.faults import unfit
from prompts.filled import Filled, Message, fill
from prompts.schema import read_schema
from prompts.untrusted import shown_as_data

FORM = "see prompts/kar/kar_item.v1.md for an example"


class Origin(Frozen):
    """Where a prompt comes from that an optimiser wrote."""

    method: str
    """The optimiser: `recprompt`, `po4isr`, `gepa`, or one of your own."""
    parent: str
    """The version that it was rewritten from: `kar_item.v1`."""
    seed: int
    """Seed of the run that wrote it."""
    figures: dict[str, int | float]
    """What was measured: the mean of the objective by its name, and the number of rows behind it as `rows`."""


class FrontMatter(Frozen):
    """The front matter between the two `---` lines of a prompt file."""

    model_config = ConfigDict(populate_by_name=True)

    task: str
    """Name of the technique the prompt belongs to."""
    version: int = Field(ge=1)
    """Increases by one with every change of the text; old files stay, so that old answers keep their provenance."""
    status: Literal["draft", "trial", "live", "retired"]
    """draft: being written; trial: to be compared with others; live: a refresh asks with the newest live version unless
    knowflow.yaml fixes another live one; retired: no longer asked with. See docs/how-to/prompts.md."""
    answer_schema: dict[str, Any] = Field(alias="schema")
    """Form of the answer (`prompts/schema.py`): `{type: text}`, `{type: choice, choices: [...]}`, or an object."""
    sampling: dict[str, Any]
    """Sampling parameters, part of the answer key."""
    origin: Origin | None = None
    """Where it comes from, if an optimiser wrote it; not part of any key."""

    @field_validator("answer_schema")
    @classmethod
    def _known_form(cls, value: dict[str, Any]) -> dict[str, Any]:
        read_schema(value)
        return value


@dataclass(frozen=True)
class Prompt:
    """One version of one prompt, ready to render."""

    path: Path
    """Its file."""
    front: FrontMatter
    """Its front matter."""
    parts: tuple[tuple[str, str], ...]
    """(role, Jinja2 text) of each message, in order."""

    @property
    def file(self) -> str:
        """Return the name of its file, for messages."""
        return self.path.name

    @property
    def name(self) -> str:
        """Return task and version, as in the file name: `kar_item.v1`."""
        return f"{self.front.task}.v{self.front.version}"

    @cached_property
    def digest(self) -> str:
        """Return the hash of everything that shapes the messages and the answer; shows why a row changed."""
        content = [self.parts, self.front.sampling, self.front.answer_schema]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def variables(self) -> frozenset[str]:
        """Return the names that the text uses besides `domain`."""
        environment = SandboxedEnvironment()
        names = set().union(*(meta.find_undeclared_variables(environment.parse(text)) for _, text in self.parts))
        return frozenset(names - {"domain"})

    @cached_property
    def _environment(self) -> SandboxedEnvironment:
        return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=shown_as_data)

    @cached_property
    def _filled(self) -> dict[tuple[Domain, tuple[str, ...]], Filled]:
        return {}

    def filled(self, domain: Domain, special: Iterable[str] = ()) -> Filled:
        """Return the prompt in a domain and for a model, to render many rows; see `render`."""
        key = (domain, tuple(special))
        if key not in self._filled:
            self._filled[key] = fill(self.file, self.parts, self._environment, *key)
        return self._filled[key]

    def render(self, variables: Mapping[str, Any], domain: Domain, special: Iterable[str] = ()) -> list[Message]:
        """Render the text with a row's variables, which stay data whatever they hold; see `prompts/untrusted.py`.

        Args:
            variables: The row's variables; must include every name in `self.variables`.
            domain: The words of the domain.
            special: The special tokens of the model's tokenizer, where it is known.

        Returns:
            Chat messages, `{"role": ..., "content": ...}` each.

        Raises:
            WrongUse: The text uses a variable that the row does not provide.
        """
        return self.filled(domain, special).render(variables)


def read_prompt(path: Path) -> Prompt:
    """Read and check one prompt file.

    Raises:
        WrongUse: The file is not a prompt: front matter, roles or Jinja2 text are wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise unfit(path.name, "is not UTF-8 text", "save it as UTF-8") from None
    return _parse(path, text)


@lru_cache(maxsize=256)  # prompts are chosen often and parsing takes a millisecond; a changed file has another text
def _parse(path: Path, text: str) -> Prompt:
    name = path.name
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, flags=re.DOTALL)
    if not match:
        raise unfit(name, "has no front matter between two lines of ---", FORM)
    try:
        front = FrontMatter.model_validate(yaml.safe_load(match[1]))
    except yaml.YAMLError as error:
        raise unfit(name, f"its front matter is not YAML: {error}", FORM) from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'front matter'}: {e['msg']}" for e in error.errors())
        raise unfit(name, faults, FORM) from None
    if name != f"{front.task}.v{front.version}.md":
        raise unfit(name, f"has task {front.task}, version {front.version} in its front matter", "rename the file")
    pieces = re.split(r"^# (system|user|assistant)\n", match[2], flags=re.MULTILINE)
    if pieces[0].strip() or len(pieces) < 3:
        raise unfit(name, "its text must start with a line `# user` or `# system`", FORM)
    parts = tuple((pieces[i], pieces[i + 1].strip()) for i in range(1, len(pieces), 2))
    prompt = Prompt(path=path, front=front, parts=parts)
    try:
        _ = prompt.variables, [prompt._environment.from_string(text) for _, text in parts]
    except TemplateError as error:
        raise unfit(name, f"its text does not parse: {error}", "fix the Jinja2 text") from None
    return prompt
