"""Guess the mapping of knowflow.yaml: the role of each column of a file, with a plain reason for every guess.

A name decides first, if the column's values allow it; without a telling name, the values decide. Doubt is reported: a
guess lists the other columns that it could have been, and a setting that nothing fits has no column.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from sources.look import Column, Look

_KEY = "(id|uid|key|no|nr|number|code|uuid|guid|hash)"
_USERS = "(user|customer|reviewer|visitor|client|member|account|buyer|shopper|viewer|reader|listener|player|person)"
_ITEMS = (
    "(item|movie|film|product|article|book|song|track|video|show|series|business|restaurant|recipe|news|game|app|ad"
    "|content|document|doc|listing|hotel|place|venue|post|job|course|anime|album|artist|goods|offer)"
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
INDEX = r"|unnamed\d*|index|indexlevel0|rownumber|rowid"
SEPARATORS = ("|", ";", ",")


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

    def of(self, setting: str) -> tuple[Guess, ...]:
        """Return the guesses for a setting."""
        return tuple(guess for guess in self.guesses if guess.setting == setting)


def guess_tables(events: Look, items: Look, users: Look | None = None, queries: Look | None = None) -> list[TableGuess]:
    """Guess the whole mapping.

    Args:
        events: Who did what to which item, when.
        items: What the events refer to.
        users: Who the events refer to, if there is such a file.
        queries: What was searched for, if there is such a file.

    Returns:
        One guess per file, in the order of the arguments.

    Example:
        >>> guess_tables(look(Path("events.csv")), look(Path("items.csv")))[0].of("user")  # doctest: +SKIP
        (Guess(setting='user', column='user_id', why='its name', others=()),)
    """
    item_id, user_id = guess_id(items, ITEM, events), guess_id(users, USER, events) if users else None
    tables = [_events(events, items, item_id.column, users, user_id.column if user_id else None)]
    title = guess_title(items, _columns(item_id))
    tables.append(_entity("items", items, (item_id, title)))
    if users and user_id:
        tables.append(_entity("users", users, (user_id,)))
    if queries:
        query = guess_query(queries)
        item = guess_reference(queries, "item", ITEM, items, item_id.column, _columns(query))
        user = guess_reference(queries, "user", USER, users, user_id.column if user_id else None, _columns(query, item))
        time = guess_time(queries, _columns(query, item, user))
        tables.append(TableGuess("queries", queries, (query, user, item, time)))
    return tables


def _events(events: Look, items: Look, item_id: str | None, users: Look | None, user_id: str | None) -> TableGuess:
    item = guess_reference(events, "item", ITEM, items, item_id)
    user = guess_reference(events, "user", USER, users, user_id, _columns(item))
    time = guess_time(events, _columns(item, user))
    target = guess_target(events, _columns(item, user, time))
    if user.column is None:
        free = [c for c in _free(events, _columns(item, time, target)) if c.looks_like_id and not c.is_label]
        repeating = sorted((c for c in free if c.distinct < len(c.filled)), key=lambda c: c.distinct, reverse=True)
        user = _choose("user", repeating, "its values: ids that repeat", user.why)
    return TableGuess("events", events, (user, item, time, target))


def _entity(section: str, table: Look, roles: tuple[Guess, ...]) -> TableGuess:
    """Sort the other columns of items or users into texts, categories and numbers.

    All category texts of a file are split at one separator, that of the column with the best name; a column that needs
    another separator, or whose values contain it as a plain character, becomes a text.
    """
    free = _free(table, _columns(*roles))
    parted = {c.name: sign for c in free if (sign := _separator(c))}
    separator = next((parted[c.name] for c in [*_named(free, CATEGORY), *free] if c.name in parted), None)
    fields = [_field(column, parted.get(column.name), separator) for column in free]
    used, left_out = [f for f in fields if f.setting], [f for f in fields if not f.setting]
    return TableGuess(section, table, (*roles, *used), tuple(left_out), separator)


def guess_id(table: Look, names: Sequence[str], events: Look) -> Guess:
    """Find the id of items or users: by its name, else by its values, which the events refer to.

    Args:
        table: The items or users.
        names: Patterns of names, best first; `ITEM` or `USER`.
        events: The events that refer to it.
    """
    strangers = _told_apart(events.columns)
    used = [column for column in events.columns if column.looks_like_id and column not in strangers]
    named = [column for column in _named(table.columns, (*names, *ID)) if column.is_simple]
    possible = [column for column in table.columns if column.looks_like_id and column.is_unique]
    shares = {}
    for column in named or possible:
        ids = table.ids(column.name)
        shares[column.name] = max(((other.share_of(ids), other.distinct) for other in used), default=(0.0, 0))
    if named:
        # Of two ids, such as isbn and book_id, take the one that the events use.
        best = sorted(named, key=lambda c: (not c.is_unique, -round(shares[c.name][0], 1)))
        return _choose("id", best, "its name" + ("" if best[0].is_unique else ", though some values repeat"), "")
    best = sorted(possible, key=lambda c: shares[c.name], reverse=True)
    best = [c for c in best if shares[c.name][0] >= 0.5] or best
    share = shares[best[0].name][0] if best else 0
    found = f"{share:.0%} of a column of {events.path.name} are found here" if share else "no two are the same"
    return _choose("id", best, f"its values: {found}", "the column of the id")


def guess_reference(
    events: Look, setting: str, names: Sequence[str], table: Look | None, key: str | None, taken: Iterable[str] = ()
) -> Guess:
    """Find the column with which events, or queries, refer to an item or a user.

    Args:
        events: The events or queries.
        setting: `item` or `user`.
        names: Patterns of names, best first.
        table: The items or users it refers to, if there are any.
        key: Their id column, if it was found.
        taken: Columns with another role.
    """
    free, missing = _free(events, taken), f"the column of the {setting}'s id"
    named = [column for column in _named(free, names) if column.is_simple]
    if table is None or key is None:
        return _choose(setting, named, "its name", missing)
    ids = table.ids(key)
    strangers = [*_told_apart(free), *_named(free, USER if setting == "item" else ITEM)]
    possible = [c for c in free if c in named or (c.looks_like_id and not c.is_label and c not in strangers)]
    shares = {column.name: round(column.share_of(ids), 3) for column in possible}
    best = sorted(named, key=lambda c: -round(shares[c.name], 1))
    if best and shares[best[0].name] >= 0.5:
        strange = 1 - shares[best[0].name]
        return _choose(
            setting, best, "its name" + (f", though {strange:.1%} are not in {table.path.name}" if strange else ""), ""
        )
    # Small whole numbers match any ids: in a tie, take the column with more distinct values.
    found = sorted(possible, key=lambda c: (shares[c.name], c.distinct), reverse=True)
    found = [column for column in found if shares[column.name] >= 0.5]
    if found:
        why = f"its values: {shares[found[0].name]:.0%} are ids of {table.path.name}"
        return _choose(setting, [*found, *best], why, "")
    return _choose(setting, best, f"its name, though most of its values are not in {table.path.name}", missing)


def guess_time(events: Look, taken: Iterable[str] = ()) -> Guess:
    """Find the time: by its name, else a column whose values are all plausible times (1980 to 2100)."""
    free = _free(events, taken)
    named = sorted((column for column in _named(free, TIME) if column.span), key=lambda c: not c.looks_like_time)
    if named and named[0].span:
        first, last = named[0].span
        doubt = "" if named[0].looks_like_time else f", though read as times its values are from {first} to {last}"
        return _choose("time", named, f"its name{doubt}", "")
    found = [column for column in free if column.looks_like_time and column.is_full]
    first, last = (found[0].span if found else None) or (0, 0)
    return _choose("time", found, f"its values: times from {first} to {last}", "the column of the time")


def guess_target(events: Look, taken: Iterable[str] = ()) -> Guess:
    """Find the target to predict: a rating, else a label of 0 or 1; the setting of the guess says which."""
    free = [
        column for column in _free(events, taken) if column.is_full and (column.is_label or column.numbers is not None)
    ]
    rated, labelled = _named(free, RATING), _named(free, LABEL)
    ratings = [c for c in rated if not c.is_label] + [c for c in labelled if c.looks_like_rating]
    labels = [column for column in [*labelled, *rated] if column.is_label]
    if ratings and (ratings[0] in rated or not labels):
        return _choose("rating", [*ratings, *labels], "its name", "")
    if labels:
        alike = ", though all values are the same" if labels[0].distinct == 1 else ""
        return _choose("label", [*labels, *ratings], f"its name{alike}", "")
    both = [column for column in free if column.is_label and column.distinct == 2]
    steps = [column for column in free if column.looks_like_rating]
    if both:
        return _choose("label", [*both, *steps], "its values: each is 0 or 1", "")
    missing = "a column of 0 and 1; or use `rating:` with a column of ratings"
    return (
        Guess("label", None, missing) if not steps else _choose("rating", steps, "its values: few steps, 0 to 10", "")
    )


def guess_title(items: Look, taken: Iterable[str] = ()) -> Guess:
    """Find the title of items: by its name, else the first column of short texts that hardly repeat."""
    possible = [c for c in _free(items, taken) if c.is_text and not c.is_link]
    if named := _named(possible, TITLE):
        return _choose("title", sorted(named, key=lambda c: not c.is_full), "its name", "")
    found = [c for c in possible if c.is_full and c.distinct >= 0.7 * len(c.filled) and 3 <= c.length <= 100]
    found = [c for c in found if not c.looks_like_time]
    return _choose("title", found, "its values: short texts that hardly repeat", "the column with an item's name")


def guess_query(queries: Look) -> Guess:
    """Find the text of the queries: by its name, else the longest texts."""
    texts = [c for c in queries.columns if c.is_text and not c.looks_like_time]
    if named := _named(texts, QUERY):
        return _choose("query", named, "its name", "")
    longest = sorted(texts, key=lambda c: c.length, reverse=True)
    return _choose("query", longest, "its values: the longest texts", "the column of the query's text")


def _field(column: Column, own: str | None, separator: str | None) -> Guess:
    if useless := _useless(column):
        return Guess("", column.name, useless)
    named_category = bool(_named([column], CATEGORY))
    if column.is_list:
        return Guess("categories", column.name, "its name" if named_category else "its values: lists")
    splits = separator is not None and bool(column.texts.str.contains(separator, literal=True).any())
    repeats = column.distinct <= max(2, len(column.filled) / 2) and column.length <= 40
    by = "its name" if named_category else "its values"
    other = f"its values: split at '{own}', but a file has one separator"
    judged = [  # the first line that is true decides
        (bool(_named([column], TEXT)) and column.is_text, "texts", "its name"),
        (own is not None and own != separator, "texts", other),
        (own is not None, "categories", f"{by}: short parts, split at '{own}'"),
        (named_category and not splits, "categories", "its name"),
        (column.is_flag, "categories", "its values: true or false"),
        (column.numbers is not None, "numbers", "its name" if _named([column], NUMBER) else "its values: numbers"),
        (column.looks_like_time, "texts", "its values: times"),
        (column.length > 40, "texts", "its values: long texts"),
        (repeats and splits, "texts", f"its values: they contain '{separator}' and would be split"),
        (repeats, "categories", "its values: short texts that repeat"),
    ]
    setting, why = next(((s, w) for is_so, s, w in judged if is_so), ("texts", "its values: texts that hardly repeat"))
    return Guess(setting, column.name, why)


def _useless(column: Column) -> str:
    """Return why no setting can use a column; empty if one can."""
    if column.fault or len(column.filled) == 0:
        return column.fault or "is empty"
    if column.is_list:
        return "holds lists of long texts; join each to one text" if column.length > 40 else ""
    if column.is_link:
        return "holds links"
    if column.texts.str.contains(r"(?s)^[\[{].*[\]}]$").cast(pl.Int8).sum() * 2 > len(column.texts):
        return "holds lists or records written as texts; write lists as a|b|c"
    is_key = re.fullmatch(INDEX, column.key) or (column.key.endswith("id") and not _named([column], CATEGORY))
    return "is an id of something else, or a row number" if is_key and column.looks_like_id else ""


def _separator(column: Column) -> str | None:
    """Return the character that separates many short parts of the values, if there is one."""
    if not column.is_text or column.is_link or column.looks_like_time or _named([column], TEXT):
        return None
    several, one = bool(_named([column], SEVERAL)), bool(_named([column], CATEGORY))
    for sign in SEPARATORS:
        parts = column.texts.str.split(sign).explode().str.strip_chars()
        share = (column.texts.str.contains(sign, literal=True).cast(pl.Int8).sum() or 0) / len(column.texts)
        lengths = parts.str.len_chars().to_numpy()
        short = float(lengths.mean()) <= 25 and int(lengths.max()) <= 60
        # A comma also occurs in sentences, whose parts hardly repeat, and in a single brand: `Acme, Inc`.
        common = several or sign == "|" or (not one and parts.n_unique() <= 0.6 * len(parts))
        if share >= (0.02 if several else 0.2) and short and common:
            return sign
    return None


def _named(columns: Iterable[Column], patterns: Sequence[str]) -> list[Column]:
    """Return the columns whose name matches a pattern, those of the first patterns first."""
    columns, found = list(columns), {}
    for pattern in patterns:
        found.update({c.name: c for c in columns if c.name not in found and c.key and re.fullmatch(pattern, c.key)})
    return list(found.values())


def _told_apart(columns: Sequence[Column]) -> list[Column]:
    """Return columns that are times, ratings or labels by name and values, and so not ids."""
    times = [column for column in _named(columns, TIME) if column.looks_like_time]
    return [*times, *(column for column in _named(columns, (*RATING, *LABEL)) if column.numbers is not None)]


def _free(table: Look, taken: Iterable[str]) -> list[Column]:
    taken = set(taken)
    return [column for column in table.columns if column.name not in taken]


def _columns(*guesses: Guess) -> list[str]:
    return [guess.column for guess in guesses if guess.column is not None]


def _choose(setting: str, best: Sequence[Column], why: str, missing: str) -> Guess:
    if not best:
        return Guess(setting, None, missing)
    return Guess(setting, best[0].name, why, tuple(dict.fromkeys(c.name for c in best[1:] if c is not best[0])))
