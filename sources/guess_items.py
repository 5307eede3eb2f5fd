"""Guess what the columns of items and users are: the id, the title, and the kind of every other one."""

import re
from collections.abc import Iterable, Sequence

import polars as pl

from sources.guess_words import (
    CATEGORY,
    ID,
    INDEX,
    NAMELESS,
    NUMBER,
    SEPARATORS,
    SEVERAL,
    SUMMED,
    TEXT,
    TITLE,
    Guess,
    TableGuess,
    by_name,
    choose,
    free_in,
    taken_by,
    told_apart,
)
from sources.look import Column, Look


def guess_entity(section: str, table: Look, roles: tuple[Guess, ...]) -> TableGuess:
    """Sort the other columns of items or users into texts, categories and numbers.

    All category texts of a file are split at one separator, that of the column with the best name; a column that needs
    another separator, or whose values contain it as a plain character, becomes a text.
    """
    free = free_in(table, taken_by(*roles))
    parted = {c.name: sign for c in free if (sign := _separator(c))}
    separator = next((parted[c.name] for c in [*by_name(free, CATEGORY), *free] if c.name in parted), None)
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
    strangers = told_apart(events.columns)
    used = [column for column in events.columns if column.looks_like_id and column not in strangers]
    named = [column for column in by_name(table.columns, (*names, *ID)) if column.is_simple]
    possible = [column for column in table.columns if column.looks_like_id and column.is_unique]
    shares = {}
    for column in named or possible:
        ids = table.ids(column.name)
        shares[column.name] = max(((other.share_of(ids), other.distinct) for other in used), default=(0.0, 0))
    if named:
        # Of two ids, such as isbn and book_id, take the one that the events use.
        best = sorted(named, key=lambda c: (not c.is_unique, -round(shares[c.name][0], 1)))
        return choose("id", best, "its name" + ("" if best[0].is_unique else ", though some values repeat"), "")
    best = sorted(possible, key=lambda c: shares[c.name], reverse=True)
    best = [c for c in best if shares[c.name][0] >= 0.5] or best
    share = shares[best[0].name][0] if best else 0
    found = f"{share:.0%} of a column of {events.path.name} are found here" if share else "no two are the same"
    return choose("id", best, f"its values: {found}", "the column of the id")


def guess_title(items: Look, taken: Iterable[str] = ()) -> Guess:
    """Find the title of items: by its name, else the first column of short texts that hardly repeat."""
    possible = [c for c in free_in(items, taken) if c.is_text and not c.is_link]
    if named := by_name(possible, TITLE):
        return choose("title", sorted(named, key=lambda c: not c.is_full), "its name", "")
    found = [c for c in possible if c.is_full and c.distinct >= 0.7 * len(c.filled) and 3 <= c.length <= 100]
    found = [c for c in found if not c.looks_like_time]
    return choose("title", found, "its values: short texts that hardly repeat", "the column with an item's name")


FROM_EVENTS = (
    "seems to add up events, later ones too; if its values are older than all of them, map it under items.numbers"
)
"""Why a number such as an average rating is left out: it would tell a sample its own future."""


def _field(column: Column, own: str | None, separator: str | None) -> Guess:
    if useless := _useless(column):
        return Guess("", column.name, useless)
    if column.numbers is not None and by_name([column], SUMMED):
        return Guess("", column.name, FROM_EVENTS)
    named_category = bool(by_name([column], CATEGORY))
    if column.is_list:
        return Guess("categories", column.name, "its name" if named_category else "its values: lists")
    splits = separator is not None and bool(column.texts.str.contains(separator, literal=True).any())
    repeats = column.distinct <= max(2, len(column.filled) / 2) and column.length <= 40
    by = "its name" if named_category else "its values"
    other = f"its values: split at '{own}', but a file has one separator"
    judged = [  # the first line that is true decides
        (bool(by_name([column], TEXT)) and column.is_text, "texts", "its name"),
        (own is not None and own != separator, "texts", other),
        (own is not None, "categories", f"{by}: short parts, split at '{own}'"),
        (named_category and not splits, "categories", "its name"),
        (column.is_flag, "categories", "its values: true or false"),
        (
            column.numbers is not None,
            "numbers",
            "its name" if by_name([column], NUMBER) else "its values: numbers",
        ),
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
    is_index = re.fullmatch(INDEX, column.key) or (re.fullmatch(NAMELESS, column.name) and column.counts_up)
    is_key = is_index or (column.key.endswith("id") and not by_name([column], CATEGORY))
    return "is an id of something else, or a row number" if is_key and column.looks_like_id else ""


def _separator(column: Column) -> str | None:
    """Return the character that separates many short parts of the values, if there is one."""
    if not column.is_text or column.is_link or column.looks_like_time or by_name([column], TEXT):
        return None
    if column.name.endswith(":token_seq"):
        return " "  # as RecBole writes lists
    several, one = bool(by_name([column], SEVERAL)), bool(by_name([column], CATEGORY))
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
