"""What `knowflow init` proposes beside the columns: domain, names of fields, label, split, form of a text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cli.init_line import Line, defaults, yaml_value
from sources.checked import FILL_IN
from sources.config import SplitConfig
from sources.entity_config import OWN_NAMES
from sources.guess import Guess, TableGuess
from sources.guess_words import FIELDS, WEIGHT, by_name, positive_types
from sources.label_config import NegativesConfig
from sources.look import LOOKED_AT, Column

OPTIONAL = {("queries", "user"), ("queries", "item"), ("queries", "time"), ("events", "label")}
NO_LABEL = (
    "proposed: no column holds ratings, weights, 0 and 1 or types of events: every event is positive, and negatives "
    "are sampled; if a column says what was chosen, set events.label or events.rating instead"
)
FEW_EVENTS = 10
"""With fewer events a user on average, 10% of a user's log is less than one event."""
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
    names = {str(guess.column): guess.field for guess in guesses if guess.field}
    guesses = [guess for guess in guesses if not guess.field]
    columns = {str(guess.column) for guess in guesses}
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


@dataclass(frozen=True)
class Draft:
    """Everything that a first knowflow.yaml says of the data."""

    tables: Sequence[TableGuess]
    """What the columns are."""
    domain: tuple[str, str]
    """The domain, and the reason."""
    label: Sequence[Line]
    """How a label is made."""
    split: Sequence[Line]
    """How events are split."""
    skip: Line
    """Kinds of faults whose rows are left out."""


def propose(tables: Sequence[TableGuess]) -> Draft:
    """Propose everything that the columns alone do not say."""
    return Draft(tables, propose_domain(tables[1]), liked_from(tables[0]), split_lines(tables[0]), Line("skip", "[]"))


def split_lines(events: TableGuess) -> list[Line]:
    """Propose how to split: by time where most users have too few events to be cut into three parts each."""
    lines = defaults(SplitConfig)
    (user,) = events.of("user")
    column = events.look.column(user.column) if user.column else None
    if column is None or column.rows >= LOOKED_AT or len(column.filled) >= FEW_EVENTS * max(column.distinct, 1):
        return lines
    why = (
        f"proposed: {len(column.filled) / max(column.distinct, 1):.1f} events a user are too few to cut each user's log"
    )
    return [Line("by", "global_time", why) if line.name == "by" else line for line in lines]


def format_lines(table: TableGuess) -> list[Line]:
    """Return the settings of a text that is not written as usual: with commas, in UTF-8, its first line a header."""
    form, given = table.look.settings, {setting.name for setting in table.settings}
    lines: list[Line] = []
    if form.delimiter not in (None, ","):
        lines.append(Line("delimiter", yaml_value(form.delimiter), "guessed: it gives every line as many fields"))
    if form.encoding is not None:
        lines.append(Line("encoding", form.encoding, "guessed: the text is not UTF-8"))
    if form.header is False:
        named = f"columns are named {table.look.names()[0]} to {table.look.names()[-1]}; `columns: [..]` names them"
        lines.append(Line("header", "false", f"guessed: the first line holds data; {named}"))
    return [line for line in lines if line.name not in given]


def time_lines(guess: Guess, table: TableGuess) -> list[Line]:
    """Propose the form of times that could be read in two ways; empty if the form is clear."""
    if table.section != "events" or guess.column is None:
        return []
    form = table.look.column(guess.column).ambiguous_form
    doubt = "proposed: day and month may also be the other way round, check it"
    return [Line("time_format", yaml_value(form), doubt)] if form else []


def is_shown(guess: Guess, table: TableGuess) -> bool:
    """Return whether to write a guess: optional settings are left out when no column was found."""
    return guess.column is not None or (table.section, guess.setting) not in OPTIONAL


def wanted(guess: Guess, table: TableGuess) -> str:
    """Describe what to fill in where no column was found, and list the columns there are."""
    return f"{guess.why}; {table.look.path.name} has: {', '.join(yaml_value(name) for name in table.look.names())}"


def liked_from(events: TableGuess) -> list[Line]:
    """Propose how a label is made: from the type of an event, a weight, or a rating; empty if nothing is to be set."""
    for guess in events.of("label"):
        if guess.column is None:
            return [Line("negatives", yaml_value({"per_positive": NegativesConfig().per_positive}), NO_LABEL)]
        types = positive_types(events.look.column(guess.column))
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
