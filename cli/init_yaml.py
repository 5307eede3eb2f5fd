"""The text of a first knowflow.yaml: guesses with their reasons, defaults with their explanations."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from ctr.config import TrainConfig
from engines.protocol import EngineConfig
from feature_store.gates import GatesConfig
from llm_tasks.pipeline.budget import Prices
from sources.checked import FILL_IN
from sources.config import OWN_NAMES, HistoryConfig, SplitConfig
from sources.guess import Guess, TableGuess
from sources.guess_words import WEIGHT, by_name, positive_types
from sources.look import LOOKED_AT, Column

FEW_EVENTS = 10
"""With fewer events a user on average, 10% of a user's log is less than one event."""
OPTIONAL = {("queries", "user"), ("queries", "item"), ("queries", "time")}
FIELDS = ("texts", "categories", "numbers")
DOMAIN_WORDS = (
    ("films", r"(movie|film|imdb|tmdb).*", "a column name refers to films"),
    ("books", r"books?.*|.*isbn.*", "a column name refers to books"),
    ("news", r"headline|news.*", "a column name refers to news"),
    ("games", r"games?.*|steam.*|.*playtime.*", "a column name refers to games"),
    ("music", r"(track|song|artist|album|band|lyrics).*", "a column name refers to music"),
    ("recipes", r"(recipe|ingredient|cuisine).*", "a column name refers to recipes"),
    ("places", r"(business|restaurant|hotel|venue|poi).*", "a column name refers to places"),
    ("courses", r"(course|lecture|mooc).*", "a column name refers to courses"),
    ("jobs", r"(job|vacancy|salary|employer).*", "a column name refers to jobs"),
    ("products", r"(product|asin|parentasin|sku|stockcode|brand).*", "a column name refers to products"),
    ("books", r".*authors?", "items have an author"),
    ("news", r"abstract", "items have an abstract"),
)
"""Domain, pattern of a column's name, and the reason to give; the first that fits is proposed."""
DOMAIN_FIELDS = {"films": ("year", "genres"), "books": ("year", "genres", "author"), "news": ("category", "abstract")}
"""The fields that the texts in prompts/domains/ use."""
FIELD_COLUMNS = {
    "year": (("numbers", "texts"), r"(release|publi\w+)?year(of\w+)?"),
    "genres": (("categories",), r"(main|all)?genres?|class"),
    "author": (("texts",), r"(book)?authors?(name)?"),
    "category": (("categories",), r"(main)?categor(y|ies)"),
    "abstract": (("texts",), r"abstract"),
}
"""Field -> the settings and the column names it may be made from."""


class Line(NamedTuple):
    """One setting in the file."""

    name: str
    """Its name."""
    value: str
    """Its value, as YAML."""
    comment: str = ""
    """The comment beside it."""

    def text(self, indent: str) -> str:
        """Return the line, with its comment at a fixed column."""
        setting = f"{indent}{self.name}: {self.value}"
        comment = "".join(letter if letter.isprintable() else " " for letter in self.comment)
        return f"{setting:42s}   # {comment}" if comment else setting


def propose_domain(items: TableGuess) -> tuple[str, str]:
    """Propose a domain from the columns of the items.

    Returns:
        The domain's name, and the reason.
    """
    keys = [column.key for column in items.look.columns]
    for name, pattern, why in DOMAIN_WORDS:
        if any(re.fullmatch(pattern, key) for key in keys):
            return name, why
    names = set(field_names(items, "films").values())
    if {"genres", "year"} <= names:
        return "generic", "genres and a year fit films, games, music and books: set domain: to one of them if it is"
    known = ", ".join(sorted({name for name, *_ in DOMAIN_WORDS}))
    return "generic", f"no column name refers to one of the other domains ({known})"


def field_names(table: TableGuess, domain: str) -> dict[str, str]:
    """Name the fields of items or users, so that prompts can show them.

    Returns:
        Column -> name: the name that the domain's texts use, else the column's name, made valid for Jinja2.

    Example:
        A column `Year-Of-Publication` becomes `year`, a column `list price` becomes `list_price`.
    """
    known = DOMAIN_FIELDS.get(domain, ())
    guesses = [guess for setting in FIELDS for guess in table.of(setting) if guess.column is not None]
    columns = {str(guess.column) for guess in guesses}
    names: dict[str, str] = {}
    for guess in guesses:
        column = table.look.column(str(guess.column))
        name = next((k for k in known if _fits(k, guess, column) and (k == column.name or k not in columns)), "")
        if not name or name in names.values():
            plain = re.sub(r":(token|float)(_seq)?$", "", column.name)  # as RecBole writes types
            plain = re.sub(r"\W+", "_", plain).strip("_") or "field"
            name = plain if plain.isidentifier() else f"field_{plain}"
            while name in (*OWN_NAMES, *known, *names.values()):
                name += "_"
        names[column.name] = name
    return names


def _fits(field: str, guess: Guess, column: Column) -> bool:
    settings, pattern = FIELD_COLUMNS[field]
    return guess.setting in settings and re.fullmatch(pattern, column.key) is not None


def render(tables: Sequence[TableGuess], domain: tuple[str, str], liked: Sequence[Line], folder: Path) -> str:
    """Fill the template of knowflow.yaml.

    Args:
        tables: What the columns are guessed to be.
        domain: The proposed domain, and the reason.
        liked: How a label is made.
        folder: The folder of the file.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["lines"] = lambda lines, indent="  ": "\n".join(line.text(indent) for line in lines)
    sections: dict[str, Any] = dict.fromkeys(("users", "queries"))
    sections |= {table.section: _section(table, domain[0], folder) for table in tables}
    return environment.get_template("knowflow.yaml.j2").render(
        **sections,
        domain=Line("domain", domain[0], f"proposed: {domain[1]}"),
        liked=liked,
        split=split_lines(tables[0]),
        history=_defaults(HistoryConfig),
        engine=[line for line in _defaults(EngineConfig) if line.name in ("name", "model")],
        gates=_defaults(GatesConfig),
        train=_defaults(TrainConfig),
        prices=_defaults(Prices),
    )


def split_lines(events: TableGuess) -> list[Line]:
    """Propose how to split: by time where most users have too few events to be cut into three parts each."""
    lines = _defaults(SplitConfig)
    (user,) = events.of("user")
    column = events.look.column(user.column) if user.column else None
    if column is None or column.rows >= LOOKED_AT or len(column.filled) >= FEW_EVENTS * max(column.distinct, 1):
        return lines
    why = (
        f"proposed: {len(column.filled) / max(column.distinct, 1):.1f} events a user are too few to cut each user's log"
    )
    return [Line("by", "global_time", why) if line.name == "by" else line for line in lines]


def _section(table: TableGuess, domain: str, folder: Path) -> dict[str, Any]:
    roles = [Line("path", yaml_value(_relative(table.look.path, folder))), *format_lines(table)]
    roles += [_line(guess, table) for guess in table.guesses if guess.setting not in FIELDS and is_shown(guess, table)]
    for guess in table.of("time"):
        roles += _time_lines(guess, table)
    if table.separator:
        roles.append(Line("separator", yaml_value(table.separator), "separates the categories in one text"))
    names = field_names(table, domain)
    groups = {
        setting: [
            Line(yaml_value(names[str(guess.column)]), yaml_value(guess.column), f"guessed from {guess.why}")
            for guess in table.of(setting)
        ]
        for setting in FIELDS
    }
    left_out = "; ".join(f"{yaml_value(guess.column)} ({guess.why})" for guess in table.left_out)
    return {"roles": roles, "groups": groups, "left_out": left_out}


def format_lines(table: TableGuess) -> list[Line]:
    """Return the settings of a text that is not written as usual: with commas, in UTF-8, its first line a header."""
    form = table.look.settings
    lines: list[Line] = []
    if form.delimiter not in (None, ","):
        lines.append(Line("delimiter", yaml_value(form.delimiter), "guessed: it gives every line as many fields"))
    if form.encoding is not None:
        lines.append(Line("encoding", form.encoding, "guessed: the text is not UTF-8"))
    if form.header is False:
        named = f"columns are named {table.look.names()[0]} to {table.look.names()[-1]}; `columns: [..]` names them"
        lines.append(Line("header", "false", f"guessed: the first line holds data; {named}"))
    return lines


def _time_lines(guess: Guess, table: TableGuess) -> list[Line]:
    if table.section != "events" or guess.column is None:
        return []
    form = table.look.column(guess.column).ambiguous_form
    doubt = "proposed: day and month may also be the other way round, check it"
    return [Line("time_format", yaml_value(form), doubt)] if form else []


def is_shown(guess: Guess, table: TableGuess) -> bool:
    """Return whether to write a guess: optional settings are left out when no column was found."""
    return guess.column is not None or (table.section, guess.setting) not in OPTIONAL


def _line(guess: Guess, table: TableGuess) -> Line:
    if guess.column is None:
        return Line(guess.setting, FILL_IN, f"FILL IN {wanted(guess, table)}")
    others = ", ".join(yaml_value(name) for name in guess.others)
    comment = f"guessed from {guess.why}" + (f"; other candidates: {others}" if others else "")
    return Line(guess.setting, yaml_value(guess.column), comment)


def wanted(guess: Guess, table: TableGuess) -> str:
    """Describe what to fill in where no column was found, and list the columns there are."""
    return f"{guess.why}; {table.look.path.name} has: {', '.join(yaml_value(name) for name in table.look.names())}"


def liked_from(events: TableGuess) -> list[Line]:
    """Propose how a label is made: from the type of an event, a weight, or a rating; empty if nothing is to be set."""
    for guess in events.of("label"):
        types = positive_types(events.look.column(guess.column)) if guess.column else []
        if types:
            return [Line("positive", yaml_value(tuple(types)), "proposed: the types that are more than a look; check")]
    for guess in events.of("rating"):
        column = events.look.column(str(guess.column))
        if by_name([column], WEIGHT) and column.numbers is not None:
            middle = yaml_value(round(float(column.numbers.to_numpy().mean()), 6))
            return [Line("at_least", middle, "proposed: the mean of the weights; what counts as liked is yours to say")]
        return [_least(events.look.largest(str(guess.column))), *_unrated(column)]
    return []


def _least(largest: float) -> Line:
    if largest <= 0:
        return Line("rating_at_least", FILL_IN, f"FILL IN a number; the largest rating in the file is {largest:g}")
    least = round(0.8 * largest, 6)
    value = yaml_value(int(least) if least.is_integer() else least)
    return Line("rating_at_least", value, f"proposed: 80% of {largest:g}, the largest rating in the file")


def _unrated(column: Column) -> list[Line]:
    """Propose a rating that stands apart as `not rated`: -1, or a 0 that is more frequent than every other."""
    numbers = column.numbers
    if numbers is None or not (numbers > 0).any():
        return []
    counts = {float(value): int(count) for value, count in numbers.value_counts().iter_rows()}
    below = [value for value in counts if value < 0]
    frequent = max(counts, key=lambda value: counts[value])
    marks = below if len(below) == 1 else [0.0] if frequent == 0.0 and len(counts) > 3 and not below else []
    words = "proposed: it stands apart from the other ratings and seems to mean `not rated`; check"
    return [Line("missing", yaml_value(tuple(int(one) for one in marks)), words)] if marks else []


def _defaults(config: type[BaseModel]) -> list[Line]:
    defaults = {name: field.get_default(call_default_factory=True) for name, field in config.model_fields.items()}
    explained = {name: " ".join((field.description or "").split()) for name, field in config.model_fields.items()}
    return [Line(name, yaml_value(value), explained[name]) for name, value in defaults.items()]


def _relative(path: Path, folder: Path) -> str:
    there = path.parent.resolve() / path.name  # a link to a file keeps its name
    try:
        return Path(os.path.relpath(there, folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return str(there)


def yaml_value(value: object) -> str:
    """Write a value on one line of YAML.

    Example:
        >>> yaml_value("list price"), yaml_value("no"), yaml_value((0, 1))
        ('list price', '"no"', '[0, 1]')
    """
    if not isinstance(value, str):
        return yaml.safe_dump(_plain(value), default_flow_style=True, width=10**6).splitlines()[0]
    is_plain = re.fullmatch(r"[A-Za-z_./][\w./-]*( [\w./-]+)*", value, re.ASCII) is not None
    if is_plain and yaml.safe_load(value) == value:
        return value
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10**6).strip()


def _plain(value: object) -> object:
    """Convert models to dicts and tuples to lists, at any depth."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
