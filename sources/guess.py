"""Guess the mapping of knowflow.yaml: the role of each column of a file, with a plain reason for every guess.

A name decides first, if the column's values allow it; without a telling name, the values decide. Doubt is reported: a
guess lists the other columns that it could have been, and a setting that nothing fits has no column.
"""

from collections.abc import Iterable, Sequence

from sources.guess_items import guess_entity, guess_id, guess_title
from sources.guess_one_file import guess_items_of_events, guess_long, guess_own_item
from sources.guess_words import (
    EVENT,
    ITEM,
    LABEL,
    NO_RATING,
    QUERY,
    RATING,
    SESSION,
    TIME,
    USER,
    WEIGHT,
    Guess,
    Setting,
    TableGuess,
    by_name,
    choose,
    free_in,
    positive_types,
    taken_by,
    told_apart,
)
from sources.look import Look

STEPS = "its values: few steps, 0 to 10"


def guess_tables(
    events: Look, items: Look | None = None, users: Look | None = None, queries: Look | None = None
) -> list[TableGuess]:
    """Guess the whole mapping.

    Args:
        events: Who did what to which item, when.
        items: What the events refer to; taken from the events' own rows if there is no such file.
        users: Who the events refer to, if there is such a file.
        queries: What was searched for, if there is such a file.

    Returns:
        One guess per file, in the order of the arguments.

    Example:
        >>> guess_tables(look(Path("events.csv")), look(Path("items.csv")))[0].of("user")  # doctest: +SKIP
        (Guess(setting='user', column='user_id', why='its name', others=()),)
    """
    user_id = guess_id(users, USER, events) if users else None
    known = (users, user_id.column if user_id else None)
    if items is None or items.path.resolve() == events.path.resolve():
        of_events = _events(events, guess_own_item(events), *known)
        of_items = guess_items_of_events(events, of_events.of("item")[0], of_events.guesses)
    else:
        of_items = guess_long(items)
        item_id = of_items.of("id")[0] if of_items else guess_id(items, ITEM, events)
        of_events = _by_place(events, items, item_id.column)
        if of_events is None:
            of_events = _events(events, guess_reference(events, "item", ITEM, items, item_id.column), *known)
        title = guess_title(items, taken_by(item_id))
        of_items = of_items or guess_entity("items", items, (item_id, title))
    (item_id,) = of_items.of("id")
    tables = [of_events, of_items]
    if users and user_id:
        tables.append(guess_entity("users", users, (user_id,)))
    if queries:
        query = guess_query(queries)
        item = guess_reference(queries, "item", ITEM, of_items.look, item_id.column, taken_by(query))
        user = guess_reference(queries, "user", USER, users, user_id.column if user_id else None, taken_by(query, item))
        time = guess_time(queries, taken_by(query, item, user))
        tables.append(TableGuess("queries", queries, (query, user, item, time)))
    return tables


def _events(events: Look, item: Guess, users: Look | None, user_id: str | None) -> TableGuess:
    user = guess_reference(events, "user", USER, users, user_id, taken_by(item))
    time = guess_time(events, taken_by(item, user))
    target = guess_target(events, taken_by(item, user, time))
    if user.column is None:
        user, target = _without_names(events, user, target, taken_by(item, time))
    roles = (user, item, time, target)
    return TableGuess("events", events, roles, settings=_session(events, taken_by(*roles)))


def _session(events: Look, taken: Sequence[str]) -> tuple[Setting, ...]:
    """Propose a column by whose values events belong together: by its name, where values repeat."""
    named = [column for column in by_name(free_in(events, taken), SESSION) if column.is_simple and column.is_full]
    named = [column for column in named if 1 < column.distinct < column.rows]
    return tuple(Setting("session", one.name, "proposed: its name; a split never cuts one") for one in named[:1])


def _without_names(events: Look, user: Guess, target: Guess, taken: Sequence[str]) -> tuple[Guess, Guess]:
    """Find the user among ids that repeat; ids of few users look like ratings, then the usual order decides."""
    steps = [column for column in free_in(events, taken) if column.looks_like_rating]
    if target.why == STEPS and len(steps) > 1:
        ids = [column for column in steps if column.looks_like_id]
        rating = next((column for column in reversed(steps) if column not in ids[:1]), steps[-1])
        place = "its place: of columns with few small numbers the user is the first, the rating the last; check both"
        user = choose("user", [column for column in ids if column is not rating], place, user.why)
        return user, choose("rating", [rating, *(c for c in steps if c is not rating)], place, "")
    free = [c for c in free_in(events, [*taken, *taken_by(target)]) if c.looks_like_id and not c.is_label]
    repeating = sorted((c for c in free if c.distinct < len(c.filled)), key=lambda c: c.distinct, reverse=True)
    return choose("user", repeating, "its values: ids that repeat", user.why), target


def _by_place(events: Look, items: Look, item_id: str | None) -> TableGuess | None:
    """Return the guess for a file without names of columns, if user, item, rating and time are in this usual order."""
    columns = events.columns
    if events.settings.header is not False or len(columns) != 4 or item_id is None:
        return None
    user, item, rating, time = columns
    fits = user.looks_like_id and item.looks_like_id and rating.numbers is not None and time.looks_like_time
    if not fits or item.share_of(items.ids(item_id)) < 0.5:
        return None
    why = "its place: user, item, rating, time"
    roles = zip(
        ("user", "item", "time", "label" if rating.is_label else "rating"), (user, item, time, rating), strict=True
    )
    return TableGuess("events", events, tuple(Guess(setting, column.name, why) for setting, column in roles))


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
    free, missing = free_in(events, taken), f"the column of the {setting}'s id"
    named = [column for column in by_name(free, names) if column.is_simple]
    if table is None or key is None:
        return choose(setting, named, "its name", missing)
    ids = table.ids(key)
    strangers = [*told_apart(free), *by_name(free, USER if setting == "item" else ITEM)]
    possible = [c for c in free if c in named or (c.looks_like_id and not c.is_label and c not in strangers)]
    shares = {column.name: column.share_of(ids) for column in possible}
    # The same name on both sides says more than the order of names, and a share is compared as it is: of two ids, such
    # as asin and parent_asin, one may be known in all rows and the other in nearly all.
    best = sorted(named, key=lambda c: (c.name != key, -shares[c.name]))
    if best and shares[best[0].name] >= 0.5:
        strange = round(1 - shares[best[0].name], 3)
        return choose(
            setting, best, "its name" + (f", though {strange:.1%} are not in {table.path.name}" if strange else ""), ""
        )
    # Small whole numbers match any ids: in a tie, take the column with more distinct values.
    found = sorted(possible, key=lambda c: (shares[c.name], c.distinct), reverse=True)
    found = [column for column in found if shares[column.name] >= 0.5]
    if found:
        why = f"its values: {shares[found[0].name]:.0%} are ids of {table.path.name}"
        return choose(setting, [*found, *best], why, "")
    return choose(setting, best, f"its name, though most of its values are not in {table.path.name}", missing)


def guess_time(events: Look, taken: Iterable[str] = ()) -> Guess:
    """Find the time: by its name, else a column whose values are all plausible times (1980 to 2100)."""
    free = free_in(events, taken)
    missing = "the column of the time, or {by: row_order} if the log has none and its rows are in order"
    if strange := [column for column in by_name(free, TIME) if column.is_simple and not column.span]:
        missing += f"; {strange[0].name} looks like one, but its values are in no known form: set time_format too"
    named = sorted((column for column in by_name(free, TIME) if column.span), key=lambda c: not c.looks_like_time)
    if named and named[0].span:
        first, last = named[0].span
        doubt = "" if named[0].looks_like_time else f", though read as times its values are from {first} to {last}"
        return choose("time", named, f"its name{doubt}", "")
    found = [column for column in free if column.looks_like_time and column.is_full]
    first, last = (found[0].span if found else None) or (0, 0)
    return choose("time", found, f"its values: times from {first} to {last}", missing)


def guess_target(events: Look, taken: Iterable[str] = ()) -> Guess:
    """Find the target to predict: a rating, else a label of 0 or 1; the setting of the guess says which."""
    free = [
        column
        for column in free_in(events, taken)
        if column.is_full and (column.is_label or column.numbers is not None)
    ]
    rated, labelled = by_name(free, RATING), by_name(free, LABEL)
    ratings = [c for c in rated if not c.is_label] + [c for c in labelled if c.looks_like_rating]
    labels = [column for column in [*labelled, *rated] if column.is_label]
    if ratings and (ratings[0] in rated or not labels):
        return choose("rating", [*ratings, *labels], "its name", "")
    if labels:
        alike = ", though all values are the same" if labels[0].distinct == 1 else ""
        return choose("label", [*labels, *ratings], f"its name{alike}", "")
    types = [column for column in by_name(free_in(events, taken), EVENT) if positive_types(column)]
    if types:
        return choose("label", types, "its name and its values, types of events", "")
    both = [column for column in free if column.is_label and column.distinct == 2]
    steps = [column for column in free if column.looks_like_rating and not by_name([column], NO_RATING)]
    if both:
        return choose("label", [*both, *steps], "its values: each is 0 or 1", "")
    if weights := [column for column in by_name(free, WEIGHT) if not column.is_label]:
        return choose("rating", [*weights, *steps], "its name: a weight", "")
    missing = (
        "a column of 0 and 1, or of types of events with `label.positive`; or use `rating:` with ratings or weights"
    )
    return Guess("label", None, missing) if not steps else choose("rating", steps, STEPS, "")


def guess_query(queries: Look) -> Guess:
    """Find the text of the queries: by its name, else the longest texts."""
    texts = [c for c in queries.columns if c.is_text and not c.looks_like_time]
    if named := by_name(texts, QUERY):
        return choose("query", named, "its name", "")
    longest = sorted(texts, key=lambda c: c.length, reverse=True)
    return choose("query", longest, "its values: the longest texts", "the column of the query's text")
