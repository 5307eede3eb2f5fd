"""What names of columns say, and how a guess about one is put."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sources.look import Column, Look

_KEY = "(id|uid|key|no|nr|number|code|uuid|guid|hash)"
_USERS = "(user|customer|reviewer|visitor|client|member|account|buyer|shopper|viewer|reader|listener|player|person)"
_ITEMS = (
    "(item|movie|film|product|article|book|song|track|video|show|series|business|restaurant|recipe|news|game|app|ad"
    "|content|document|doc|listing|stock|hotel|place|venue|post|job|course|anime|album|artist|goods|offer)"
)
USER = (f"{_USERS}{_KEY}|uid", f"{_USERS}s?", f"{_USERS}name|(session|device|cookie){_KEY}?")
ITEM = (f"{_ITEMS}{_KEY}", "(parent)?asin|isbn(10|13)?|sku|ean|upc|gtin|iid|mid|pid", f"{_ITEMS}s?")
ID = ("id|key|code|uuid|guid",)
TIME = (
    "(unix|event)?(review)?timestamp|ts|unix(review)?time|eventtime",
    "time|datetime|.*time|(created|updated|clicked|viewed|purchased|rated|ordered|visited|watched|event)at",
    "date|.*date|.*timestamp|day|when",
)
RATING = ("ratings?|stars?|overall|score", ".*(rating|stars|score)|grade|rate")
LABEL = ("label|target", "(is)?(click(ed|s)?|purchased?|bought|liked?|converted|conversion|watched|viewed)")
EVENT = ("(event|action|behaviou?r|interaction|activity|feedback)(type|name|kind)?", "type|kind")
STRONG = (
    r"(purchased?|buy|bought|order(ed)?|transaction|checkout|(add)?(to)?cart|basket|liked?|fav\w*|follow|share"
    r"|subscribe|install|book(ed|ing)?|apply)s?"
)
WEAK = r"(click(ed)?|play(ed)?|read|watch(ed)?|open(ed)?|complete[d]?)s?"
"""Types of events that are positive; the weak ones only where there is none of the strong ones."""
WEIGHT = (
    "weights?|(play|listen|view|watch|click|purchase)?counts?|plays|listens|hours?|.*hours(played)?|playtime",
    "watch(ed)?(ratio|time|share|percent(age)?)|completion|frequency|strength",
)
SESSION = ("(user)?(session|impression|request|visit)(id|key|no|nr|number|uuid|guid)?",)
PROPERTY = ("(property|attribute|attr|feature|characteristic)(name|key|id)?", "key|name|variable|field")
PROPERTY_VALUE = ("(property|attribute|attr|feature)?(value|val)",)
NO_RATING = (".+(id|no|nr|number|code|key)", "quantity|qty|pieces|units|amount|total|paid|.*price")
"""Names of columns that are no rating, even where their values are few small numbers."""
TITLE = ("title", f"name|headline|{_ITEMS}(title|name)", ".*(title|headline)")
QUERY = ("query|(search)?(query|term)s?|querytext|keywords?|q", "text|search|.*query")
CATEGORY = (
    "genres?|categor(y|ies)",
    "tags?",
    ".*(genres?|categor(y|ies)|tags?|topics?|brand|department|section|language|country|city|state|colou?r|gender)",
    "(category|brand|genre|department|section|shop|store|publisher)(id|code)|sex|occupation|type|kind|zip(code)?",
)
SEVERAL = (".*(genres?|categor(y|ies)|tags?|topics?)",)
TEXT = (
    "(full)?(description|abstract|text|summary|plot|overview|body|content|bio)|.*description",
    ".*(authors?|director)",
)
NUMBER = (".*(year|price|pages|runtime|duration|length|age|count|rating|score|stars)",)
_ACTS = (
    "(rating|review|vote|like|play|view|click|download|sale|purchase|order|favou?rite|member|fan|follower|listener)s?"
)
SUMMED = (
    "(average|avg|mean)?(rating|score|stars|vote)s?(average|avg|mean)?|popularity|rank(ing)?|members|favou?rites",
    f"(number|num|n|total)(of)?{_ACTS}|{_ACTS}(number|count|num|counts|total)",
)
"""Numbers of items that events were added up to, whenever these happened."""
INDEX = r"unnamed\d*|index|indexlevel0|rownumber|rowid"
NAMELESS = r"|column_\d+"
"""Name of a column that has none in the file; pandas writes the numbers of rows like this."""
SEPARATORS = ("|", ";", ",")
FIELDS = ("texts", "categories", "numbers")
"""Settings of items and users that hold fields."""


@dataclass(frozen=True)
class Guess:
    """The guess for one setting of knowflow.yaml."""

    setting: str
    """user, item, time, rating, label, id, title, query, texts, categories or numbers."""
    column: str | None
    """The column; None if nothing fits."""
    why: str
    """The reason: `its name`, or `its values: each is 0 or 1`; without a column, what was looked for."""
    others: tuple[str, ...] = ()
    """Other columns that would fit."""
    field: str = ""
    """The name of the field, if a preset gives one."""
    by: str = "guessed from "
    """What the comment says before the reason: nothing if a preset decides."""


class Setting(NamedTuple):
    """A setting of a section that is not one column."""

    name: str
    """Its name in knowflow.yaml."""
    value: Any
    """Its value."""
    why: str
    """The reason."""


@dataclass(frozen=True)
class TableGuess:
    """The guesses for the columns of one file."""

    section: str
    """Section of knowflow.yaml: events, items, users or queries."""
    look: Look
    """The file."""
    guesses: tuple[Guess, ...]
    """One guess per setting; for texts, categories and numbers one per column."""
    left_out: tuple[Guess, ...] = ()
    """Columns of items or users without use; their setting is empty."""
    separator: str | None = None
    """Separator of the categories in a text; None if no column needs one."""
    settings: tuple[Setting, ...] = ()
    """Other settings of the section."""

    def of(self, setting: str) -> tuple[Guess, ...]:
        """Return the guesses for a setting."""
        return tuple(guess for guess in self.guesses if guess.setting == setting)


def by_name(columns: Iterable[Column], patterns: Sequence[str]) -> list[Column]:
    """Return the columns whose name matches a pattern, those of the first patterns first."""
    columns, found = list(columns), {}
    for pattern in patterns:
        found.update({c.name: c for c in columns if c.name not in found and c.key and re.fullmatch(pattern, c.key)})
    return list(found.values())


def told_apart(columns: Sequence[Column]) -> list[Column]:
    """Return columns that are times, ratings or labels by name and values, and so not ids."""
    times = [column for column in by_name(columns, TIME) if column.looks_like_time]
    return [*times, *(column for column in by_name(columns, (*RATING, *LABEL)) if column.numbers is not None)]


def free_in(table: Look, taken: Iterable[str]) -> list[Column]:
    """Return the columns without another role."""
    taken = set(taken)
    return [column for column in table.columns if column.name not in taken]


def taken_by(*guesses: Guess) -> list[str]:
    """Return the columns of some guesses."""
    return [guess.column for guess in guesses if guess.column is not None]


def choose(setting: str, best: Sequence[Column], why: str, missing: str) -> Guess:
    """Guess the first of some columns, or none for the reason `missing`."""
    if not best:
        return Guess(setting, None, missing)
    return Guess(setting, best[0].name, why, tuple(dict.fromkeys(c.name for c in best[1:] if c is not best[0])))


def positive_types(column: Column) -> list[str]:
    """Return the values of a column of event types that are positive; empty if it holds none.

    Example:
        >>> positive_types(Column("event", pl.Series(["view", "cart", "purchase", "view"]), 4))
        ['cart', 'purchase']
    """
    if not column.is_text or not 2 <= column.distinct <= 20:
        return []
    values = column.texts.unique().sort().to_list()
    bare = {value: re.sub(r"[\W_]", "", value.lower()) for value in values}
    for pattern in (STRONG, WEAK):
        if found := [value for value in values if re.fullmatch(pattern, bare[value])]:
            return found
    return []
