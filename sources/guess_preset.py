"""The mapping of files that a preset names: what it sets, and guesses for what it leaves out."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from sources.faults import Fault, SourceFaults
from sources.guess import guess_query, guess_reference, guess_target, guess_time
from sources.guess_items import guess_entity, guess_id, guess_title
from sources.guess_words import FIELDS, ITEM, USER, Guess, Setting, TableGuess, taken_by
from sources.look import Look

FORM = ("path", "delimiter", "encoding", "header", "columns")
"""Settings of how a text is written, which `sources.look` knows."""
ROLES = {
    "events": ("user", "item", "time", "rating", "label"),
    "items": ("id", "title"),
    "users": ("id",),
    "queries": ("query", "user", "item", "time"),
}
"""Settings of each section that name one column."""


def preset_tables(
    found: Mapping[str, Mapping[str, Any]], looks: Mapping[str, Look], why: str, has_target: bool
) -> list[TableGuess]:
    """Map the files of a preset.

    Args:
        found: Section -> settings of the preset.
        looks: Section -> the file.
        why: The reason to give for what the preset sets.
        has_target: Whether the preset says how labels are made without a column of them.

    Returns:
        One guess per file, in the order of the sections.

    Raises:
        SourceFaults: Columns that the preset names are not there; all are listed at once.
    """
    set_ = {section: _set(section, settings, looks[section], why) for section, settings in found.items()}
    if faults := [fault for table in set_.values() for fault in _lost(table)]:
        raise SourceFaults(faults)
    rest = {
        "items": lambda: _entity(set_["items"], ITEM, looks["events"]),
        "users": lambda: _entity(set_["users"], USER, looks["events"]),
    }
    tables = {section: rest[section]() for section in set_ if section in rest}
    tables["events"] = _events(set_["events"], tables, has_target)
    if "queries" in set_:
        tables["queries"] = _queries(set_["queries"])
    return [tables[section] for section in ROLES if section in tables]


def _set(section: str, settings: Mapping[str, Any], look: Look, why: str) -> TableGuess:
    """Return what a preset sets."""
    guesses: list[Guess] = []
    others: list[Setting] = []
    for name, value in settings.items():
        if name == "title" and isinstance(value, list):
            there = [column for column in value if column in look.names()] or value
            value = there[0] if len(there) == 1 else there  # noqa: PLW2901
        if name in FIELDS:
            pairs = value.items() if isinstance(value, dict) else [(column, column) for column in value]
            guesses += [Guess(name, column, why, field=field, by="") for field, column in pairs]
        elif name in ROLES[section] and isinstance(value, str):
            guesses.append(Guess(name, value, why, by=""))
        elif name != "path":
            others.append(Setting(name, value, why))
    return TableGuess(section, look, tuple(guesses), settings=tuple(others))


def _lost(table: TableGuess) -> Iterator[Fault]:
    """Yield a fault for each column that is not in the file."""
    others = {setting.name: setting.value for setting in table.settings}
    named = [(g.setting, str(g.column)) for g in table.guesses if not (g.setting in FIELDS and "long" in others)]
    for name in ("session", "title"):
        value = others.get(name, [])
        named += [(name, column) for column in ([value] if isinstance(value, str) else value)]
    named += [(f"long.{name}", column) for name, column in others.get("long", {}).items()]
    there = table.look.names()
    for setting, column in named:
        if column not in there and column.split(".")[0] not in there:
            close = get_close_matches(column, there, n=1, cutoff=0.5)
            listed = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, there[:10]))}"
            what = f"is missing, which the preset names as {table.section}.{setting}; {listed}"
            fix = "use the published file, copy the preset and change it (--from MINE.yaml), or run without --from"
            yield Fault(table.look.path.name, None, column, None, what, fix)


def _entity(table: TableGuess, names: tuple[str, ...], events: Look) -> TableGuess:
    """Guess the id, the title and the fields that a preset leaves out."""
    settings = {setting.name for setting in table.settings}
    roles = tuple(guess for guess in table.guesses if guess.setting not in FIELDS)
    missing: list[Guess] = []
    if not table.of("id"):
        missing.append(guess_id(table.look, names, events))
    if table.section == "items" and not table.of("title") and "title" not in settings:
        missing.append(guess_title(table.look, taken_by(*roles, *missing)))
    roles = (*roles, *missing)
    if settings & {"long", "repeated"} or any(table.of(kind) for kind in FIELDS):
        fields = tuple(guess for guess in table.guesses if guess.setting in FIELDS)
        return TableGuess(table.section, table.look, (*roles, *fields), settings=table.settings)
    guessed = guess_entity(table.section, table.look, roles)
    separator = None if "separator" in settings else guessed.separator
    return TableGuess(table.section, table.look, guessed.guesses, guessed.left_out, separator, table.settings)


def _events(table: TableGuess, others: Mapping[str, TableGuess], has_target: bool) -> TableGuess:
    """Guess the roles of events that a preset leaves out."""
    settings = {setting.name for setting in table.settings}
    guesses = list(table.guesses)
    for setting, names, section in (("user", USER, "users"), ("item", ITEM, "items")):
        if not table.of(setting) and setting not in settings:
            known = others.get(section)
            key = next((guess.column for guess in known.of("id")), None) if known else None
            look = known.look if known else None
            guesses.append(guess_reference(table.look, setting, names, look, key, taken_by(*guesses)))
    if not table.of("time") and "time" not in settings:
        guesses.append(guess_time(table.look, taken_by(*guesses)))
    if not (has_target or table.of("rating") or table.of("label") or "impressions" in settings):
        guesses.append(guess_target(table.look, taken_by(*guesses)))
    in_order = sorted(guesses, key=lambda guess: ROLES["events"].index(guess.setting))
    return TableGuess("events", table.look, tuple(in_order), settings=table.settings)


def _queries(table: TableGuess) -> TableGuess:
    guesses = table.guesses if table.of("query") else (*table.guesses, guess_query(table.look))
    return TableGuess("queries", table.look, guesses, settings=table.settings)
