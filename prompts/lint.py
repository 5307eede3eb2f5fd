"""Finds what is wrong with a prompt before it costs anything: a fault stops a promotion, a warning does not.

Each rule is a function of one `Checked` prompt. Rules read the prompt's skeleton: its text with marks instead of data.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from base.faults import WrongUse
from prompts.domain import Domain
from prompts.prompt import Message, Prompt
from prompts.schema import ChoiceSchema, ObjectSchema, read_schema
from prompts.skeleton import DATA, FORK, skeleton

LATE = 0.1
"""Share of a prompt's own text that may stand after its first data without a warning."""
FEW = 8
"""Tokens of its own text that may stand there in any case."""
LANGUAGES = (
    "Arabic|Bengali|Bulgarian|Catalan|Chinese|Croatian|Czech|Danish|Dutch|English|Estonian|Finnish|French|German|Greek|"
    "Hebrew|Hindi|Hungarian|Indonesian|Italian|Japanese|Korean|Latvian|Lithuanian|Malay|Norwegian|Persian|Polish|"
    "Portuguese|Romanian|Russian|Serbian|Slovak|Slovenian|Spanish|Swedish|Thai|Turkish|Ukrainian|Vietnamese|languages?"
)
QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "(": ")", "[": "]"}
"""What may open around data -> what closes it."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a prompt."""

    rule: str
    """Name of the rule."""
    level: Literal["fault", "warning"]
    """fault: the prompt cannot be used so, or is open to what data says; warning: it could be better."""
    text: str
    """What is wrong, and what to change."""


@dataclass(frozen=True)
class Checked:
    """A prompt with all that the rules look at."""

    prompt: Prompt
    """The prompt."""
    domain: Domain
    """The words of the domain."""
    offered: frozenset[str] | None
    """The variables that its rows offer; None if that is not known."""
    rows: Sequence[Mapping[str, Any]]
    """Variables of a sample of rows; empty if there are none."""
    count: Callable[[Sequence[Message]], int]
    """Counts the tokens of messages, as the chosen model does."""
    room: int | None
    """Tokens of prompt and answer that fit the model together; None if that is not known."""

    @cached_property
    def skeleton(self) -> tuple[tuple[str, str], ...]:
        """Return (role, text with marks) of each message."""
        return skeleton(self.prompt, self.domain)

    @cached_property
    def own_text(self) -> str:
        """Return the text without its data."""
        return "\n".join(re.sub(f"[{DATA}{FORK}]", " ", text) for _, text in self.skeleton)

    def tokens(self, text: str) -> int:
        """Count the tokens of a text without those of the chat template."""
        return self.count([{"role": "user", "content": text}]) - self.count([{"role": "user", "content": ""}])

    @cached_property
    def own_tokens(self) -> tuple[int, int]:
        """Return the tokens of its own text before the first data, which all rows share, and of the rest of it."""
        whole = "\n".join(text for _, text in self.skeleton)
        shared = re.split(f"[{DATA}{FORK}]", whole)[0]
        return self.tokens(shared), self.tokens(re.sub(f"[{DATA}{FORK}]", "", whole[len(shared) :]))

    @cached_property
    def extremes(self) -> tuple[int, int] | None:
        """Return the tokens of the shortest and of the longest row of the sample; None if there is none."""
        rendered = [self.prompt.render(row, self.domain) for row in self.rows]
        by_size = sorted(rendered, key=lambda messages: sum(len(one["content"].encode()) for one in messages))
        return (self.count(by_size[0]), self.count(by_size[-1])) if by_size else None

    @property
    def answer_tokens(self) -> int:
        """Return the maximum number of tokens of an answer."""
        return int(self.prompt.front.sampling.get("max_tokens", 0))


def unknown_variables(checked: Checked) -> Iterator[Finding]:
    """Find variables that rows do not offer."""
    offered = checked.offered
    unknown = sorted(checked.prompt.variables - offered) if offered is not None else []
    if unknown:
        there = ", ".join(sorted(offered or ())) or "none"
        yield Finding("unknown_variables", "fault", f"uses {', '.join(unknown)}, which its rows do not offer: {there}")


def unused_variables(checked: Checked) -> Iterator[Finding]:
    """Find variables that rows offer and the text does not show."""
    unused = sorted((checked.offered or frozenset()) - checked.prompt.variables)
    if unused:
        yield Finding("unused_variables", "warning", f"does not show {', '.join(unused)}, which its rows offer")


def shared_first(checked: Checked) -> Iterator[Finding]:
    """Find text that all rows share behind the first data, where the prefix cache cannot share it."""
    shared, late = checked.own_tokens
    if late > max(FEW, LATE * (shared + late)):
        what = f"{late:,} of the {shared + late:,} tokens of its own text stand after the first data"
        text = f"{what}, where the prefix cache cannot share them ({shared / (shared + late):.0%} are shared)"
        yield Finding("shared_first", "warning", f"{text}: move them before it")


def length(checked: Checked) -> Iterator[Finding]:
    """Find rows that do not fit the model's context together with their answer."""
    answer, extremes = checked.answer_tokens, checked.extremes
    if checked.room is None or extremes is None or extremes[1] + answer <= checked.room:
        return
    needs = f"{extremes[1]:,} tokens and an answer of {answer:,} do not fit the model's {checked.room:,}"
    if extremes[0] + answer > checked.room:
        yield Finding("length", "fault", f"not one sampled row fits; the longest: {needs}")
    else:
        text = f"the longest of {len(checked.rows):,} sampled rows is cut or not asked: {needs}"
        yield Finding("length", "warning", text)


def schema_mentioned(checked: Checked) -> Iterator[Finding]:
    """Find parts of the answer's form that the text does not mention."""
    form = read_schema(checked.prompt.front.answer_schema)
    words = form.choices if isinstance(form, ChoiceSchema) else ()
    if isinstance(form, ObjectSchema):
        words = [word for name, field in form.fields.items() for word in (name, *(field.choices or ()))]
    missing = [word for word in words if not _mentions(checked.own_text, word)]
    if missing:
        text = f"the text does not mention {', '.join(missing)}, which the form of the answer demands"
        yield Finding("schema_mentioned", "fault", text)


def language_named(checked: Checked) -> Iterator[Finding]:
    """Find a prompt that lets the data decide the language of the answer."""
    fixed = checked.prompt.front.answer_schema["type"] in ("choice", "scores")
    if not fixed and not re.search(rf"\b({LANGUAGES})\b", checked.own_text):
        yield Finding("language_named", "warning", "names no language: answers may follow the language of the data")


def data_delimited(checked: Checked) -> Iterator[Finding]:
    """Find data in the middle of a sentence, where it can pass for one."""
    for _, text in checked.skeleton:
        plain = text.replace(FORK, "")
        for found in re.finditer(DATA, plain):
            before = plain[: found.start()].rpartition("\n")[2]
            after = plain[found.end() :].partition("\n")[0]
            ends = plain[found.end() :].strip() == ":"
            if not (ends or _delimited(before, after)):
                near = f"{before[-30:]}{{{{ ... }}}}{after[:30]}".strip().replace(DATA, "{{ ... }}")
                what = f"data stands within a sentence, `{near}`: give it a line of its own, quotes, tags, or a colon"
                yield Finding("data_delimited", "fault", what)


def data_for_the_user(checked: Checked) -> Iterator[Finding]:
    """Find data in messages that a model obeys or takes for its own words."""
    for role in sorted({role for role, text in checked.skeleton if role != "user" and DATA in text}):
        text = (
            f"its {role} message shows data: what a title says would have the weight of that role; move it to `# user`"
        )
        yield Finding("data_for_the_user", "fault", text)


def _delimited(before: str, after: str) -> bool:
    """Return whether data between these parts of its line is set apart."""
    alone = not re.search(r"\w", before + after)
    tagged = before.endswith(">") and after.startswith("<")
    quoted = bool(before and after) and QUOTES.get(before[-1]) == after[0]
    return alone or tagged or quoted or before.rstrip().endswith(":")


def _mentions(text: str, word: str) -> bool:
    spelled = r"[_ ]".join(map(re.escape, word.split("_")))
    return re.search(rf"(?<!\w){spelled}(?!\w)", text, re.IGNORECASE) is not None


RULES: tuple[Callable[[Checked], Iterator[Finding]], ...] = (
    unknown_variables,
    unused_variables,
    schema_mentioned,
    data_delimited,
    data_for_the_user,
    shared_first,
    language_named,
)
"""The rules that need no row."""


def lint(checked: Checked) -> list[Finding]:
    """Apply every rule; rows are rendered only if their variables are all there."""
    try:
        _ = checked.skeleton
    except WrongUse as fault:
        return [_unrendered(fault)]
    found = [finding for rule in RULES for finding in rule(checked)]
    if any(one.rule == "unknown_variables" for one in found):
        return found
    try:
        return [*found, *length(checked)]
    except WrongUse as fault:
        return [*found, _unrendered(fault)]


def _unrendered(fault: WrongUse) -> Finding:
    return Finding("unknown_variables", "fault", f"cannot be rendered: {fault}".replace("\n  ", "; "))
