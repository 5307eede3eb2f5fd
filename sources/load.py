"""Load the user's files into the documented tables, or report everything that is wrong with them."""

from collections.abc import Collection, Container, Sequence
from pathlib import Path

import polars as pl

from base.words import count_rows
from sources.checked import CheckedTable
from sources.columns import to_id, to_text
from sources.config import EventsConfig, LabelConfig, QueriesConfig, RowOrder, SourceConfig
from sources.entities import fill_entity, fill_items
from sources.events import with_parts
from sources.faults import Fault, FaultKind, SourceFaults
from sources.file_format import FileFormat
from sources.impressions import fill_impressions, from_impressions
from sources.long_form import from_long
from sources.negatives import sample_negatives
from sources.queries import CONTROL
from sources.read import parts_of, read_columns
from sources.tables import Dataset, content_hash
from sources.times import MICROSECONDS, to_time

OTHER_LABELS = "use 0 or 1, set the column as events.rating, or list the positive values in label.positive"
FIRST = 946_684_800_000_000
"""Microseconds from 1970 to 2000, where times by row order begin."""


def load(
    config: SourceConfig, folder: Path, skip: Collection[FaultKind] = (), forgotten: Container[str] = ()
) -> Dataset:
    """Read and validate the user's data.

    Args:
        config: The mapping.
        folder: Base of its relative paths.
        skip: Leave out rows with faults of these kinds, and rows that refer to an item or user left out, and log how
            many; of repeated rows the first is kept. Missing files and columns are still errors.
        forgotten: Ids of users whose rows are left out, of events, users and queries alike.

    Returns:
        The documented tables.

    Raises:
        SourceFaults: The files have faults; those of all files are listed at once.
    """
    tables: dict[str, CheckedTable] = {}
    faults: dict[str, list[Fault]] = {}
    for section, of_file, columns in _mapped(config):
        raw, faults[section] = read_columns(folder / of_file.path, columns, of_file.path, section, of_file)
        if raw is not None:
            tables[section] = CheckedTable(of_file.path, raw)
            faults[section] = tables[section].faults
    for section, entity in (("items", config.items), ("users", config.users)):
        if section in tables and entity and entity.long:
            tables[section] = from_long(tables[section], entity, section)
            faults[section] = tables[section].faults
    if items := tables.get("items"):
        fill_items(items, config.items)
    if (users := tables.get("users")) and config.users:
        fill_entity(users, config.users, "users", "user")
    if events := tables.get("events"):
        events = tables["events"] = from_impressions(events, config.events)
        faults["events"] = events.faults
        _fill_events(events, config.events, config.label)
        _check_known(events, config.events, tables)
    if (queries := tables.get("queries")) and config.queries:
        _fill_queries(queries, config.queries)
        _check_known(queries, config.queries, tables)
    _leave_out_forgotten(tables, forgotten)
    found = [fault for of_section in faults.values() for fault in of_section]
    if stops := [fault for fault in found if fault.row is None or fault.kind not in skip]:
        raise SourceFaults(stops)
    _leave_out(tables, found)
    told = tuple(words for table in tables.values() for words in table.told)
    return _dataset(config, {section: table.finish() for section, table in tables.items()}, told)


def files_of(config: SourceConfig, folder: Path) -> list[Path]:
    """Return all files that a mapping reads, in a fixed order."""
    return [part for _, of_file, _ in _mapped(config) for part in parts_of(folder / of_file.path)]


def _mapped(config: SourceConfig) -> list[tuple[str, FileFormat, list[str]]]:
    """Return each section, its file and the columns it names."""
    events, queries = config.events, config.queries
    of_events = [events.user, events.item, _column(events.time), events.session, events.rating, events.label]
    named: dict[str, tuple[FileFormat, Sequence[str | None]]] = {
        "events": (events, of_events),
        "items": (config.items, config.items.to_read()),
    }
    if config.users:
        named["users"] = (config.users, config.users.to_read())
    if queries:
        named["queries"] = (queries, [queries.query, queries.user, queries.item, queries.time])
    return [(key, file, [column for column in columns if column is not None]) for key, (file, columns) in named.items()]


def _column(time: str | RowOrder) -> str | None:
    return time if isinstance(time, str) else None


def _fill_events(table: CheckedTable, config: EventsConfig, rule: LabelConfig) -> None:
    table.columns["user"] = to_id(table.values("events.user", config.user, required=True))
    if config.impressions:
        fill_impressions(table, config.item, config.impressions.label)
    else:
        table.columns["item"] = to_id(table.values("events.item", config.item, required=True))
    if config.session is not None:
        table.columns["session"] = to_id(table.values("events.session", config.session)).cast(pl.String)
    if isinstance(config.time, str):
        _fill_time(table, config.time, config)
    else:
        table.columns["time"] = pl.Series(FIRST + table.raw.rows * 1_000_000).cast(MICROSECONDS)
    if config.rating is not None:
        _fill_rating(table, config.rating, rule)
    elif config.label is not None:
        _fill_label(table, config.label, rule)
    elif not config.impressions:  # positives only
        table.columns["rating"] = pl.repeat(None, len(table.raw.rows), dtype=pl.Float32, eager=True)
        table.columns["label"] = pl.repeat(1.0, len(table.raw.rows), dtype=pl.Float32, eager=True)
    if all(name in table.columns for name in ("user", "item", "time", "label")):
        lost = table.drop_repeated(["user", "item", "time"], best="label")
        words = "%s: %s with the user, item and time of another row; of each only one is kept"
        if lost:
            table.tell(words, count_rows(lost))


def _fill_time(table: CheckedTable, column: str, config: EventsConfig) -> None:
    values = table.values("events.time", column, required=True, numbers=True)
    form = config.time_format
    what = "is not a time" if form is None else f"is not a time of the form {form}"
    time = table.take("time", column, values, lambda times: to_time(times, form), what)
    early = time.alias("time").to_frame().select(pl.col("time").dt.date() < pl.lit(config.earliest)).to_series()
    what = f"is a time before {config.earliest}"
    table.reject(early, column, what, "set events.time_format, or events.earliest if these times are right")


def _fill_rating(table: CheckedTable, column: str, rule: LabelConfig) -> None:
    values = table.values("events.rating", column, required=True, numbers=True)
    rating = table.take("rating", column, values, table.numbers, "is not a number")
    unrated = rating.is_in(rule.missing)
    if lost := table.drop(unrated):
        words = "%s: left out %s that label.missing calls not rated"
        table.tell(words, count_rows(lost))
    if rule.rating_range:
        low, high = rule.rating_range
        words = f"is outside {low:g} to {high:g}"
        table.reject(
            ~rating.is_between(low, high) & ~unrated, column, words, "fix the rating, or change label.rating_range"
        )
    single = table.columns["rating"] = rating.cast(pl.Float32)
    table.columns["label"] = (single >= rule.rating_at_least).cast(pl.Float32)  # in single precision on both sides


def _fill_label(table: CheckedTable, column: str, rule: LabelConfig) -> None:
    values = table.values("events.label", column, required=True)
    table.columns["rating"] = pl.repeat(None, len(values), dtype=pl.Float32, eager=True)
    if rule.positive:
        kinds = to_text(values).str.strip_chars()
        table.columns["label"] = kinds.is_in(rule.positive).cast(pl.Float32)
        there = kinds.drop_nulls().unique().sort().to_list()
        for value in [one for one in rule.positive if there and one not in there]:
            what = f"holds no {value!r}, which label.positive names; it holds {', '.join(map(repr, there[:10]))}"
            table.faults.append(Fault(table.name, None, column, None, what, "correct label.positive"))
        return
    label, _ = table.numbers(values)
    outside = values.is_not_null() & ~label.is_in([0.0, 1.0]).fill_null(value=False)
    table.reject(outside, column, "is neither 0 nor 1", OTHER_LABELS)
    table.columns["label"] = label.cast(pl.Float32)


def _fill_queries(table: CheckedTable, config: QueriesConfig) -> None:
    query = table.columns["query"] = to_text(table.values("queries.query", config.query, required=True))
    words, fix = f"is longer than {config.longest:,} characters", "shorten the query, or raise queries.longest"
    table.reject(query.str.len_chars() > config.longest, config.query, words, fix)
    words = "holds control characters"
    table.reject(query.str.contains(CONTROL), config.query, words, "remove the control characters")
    if config.user:
        table.columns["user"] = to_id(table.values("queries.user", config.user)).cast(pl.String)
    if config.item:
        table.columns["item"] = to_id(table.values("queries.item", config.item)).cast(pl.String)
    if config.time:
        table.take("time", config.time, table.values("queries.time", config.time), to_time, "is not a time")


def _check_known(table: CheckedTable, config: EventsConfig | QueriesConfig, tables: dict[str, CheckedTable]) -> None:
    for key, column, known in (("item", config.item, "items"), ("user", config.user, "users")):
        if column and known in tables:
            table.reject_unknown(key, column, tables[known])


def _leave_out_forgotten(tables: dict[str, CheckedTable], forgotten: Container[str]) -> None:
    """Leave out the rows of users who were forgotten, and say how many: the file still holds them."""
    for table in tables.values() if forgotten else ():
        if "user" not in table.columns:
            continue
        ids = table.columns["user"].cast(pl.String)
        lost = [one for one in ids.drop_nulls().unique() if one in forgotten]
        if count := table.drop(ids.is_in(lost)):
            words = "%s: left out %s of %s who asked to be forgotten; the file still holds them"
            table.tell(words, count_rows(count), f"{len(lost):,} user{'' if len(lost) == 1 else 's'}")


def _leave_out(tables: dict[str, CheckedTable], found: list[Fault]) -> None:
    """Leave out rows with faults, and the rows that refer to them.

    Raises:
        SourceFaults: No event or no item is left.
    """
    for section, table in tables.items():
        if table.faults:
            by_kind = ", ".join(f"{count:,} {kind}" for kind, count in table.counts().items())
            count = int(table.bad.sum()) + len(table.raw.broken) + sum(table.earlier.values())
            table.tell("%s: left out %s with faults: %s", count_rows(count), by_kind)
        for key, known in (("item", "items"), ("user", "users")):
            if section in ("events", "queries") and key in table.columns and known in tables:
                lost = table.leave_out_lost(key, tables[known])
                words = "%s: left out %s whose %s was left out of %s"
                if lost:
                    table.tell(words, count_rows(lost), key, tables[known].name)
    empty = [
        table
        for section, table in tables.items()
        if section in ("events", "items") and (table.bad | table.dropped).all()
    ]
    if empty:
        words, fix = "every row has a fault, none is left", "fix the rows"
        raise SourceFaults([*found, *(Fault(table.name, None, None, None, words, fix) for table in empty)])


def _dataset(config: SourceConfig, tables: dict[str, pl.DataFrame], told: tuple[str, ...]) -> Dataset:
    session = [name for name in ("session",) if name in tables["events"].columns]
    events = (
        tables["events"]
        .sort("time", "item", "user")
        .with_columns(pl.col("user", "item").cast(pl.String))
        .with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over("user").alias("position"))
        .select("user", "item", "time", "rating", "label", "position", *session)
    )
    fields = [*config.items.texts, *config.items.categories, *config.items.numbers]
    items = tables["items"].sort("item").with_columns(pl.col("item").cast(pl.String)).select("item", "title", *fields)
    users = tables["users"].sort("user").with_columns(pl.col("user").cast(pl.String)) if "users" in tables else None
    events, negatives = with_parts(events, config.split), config.label.negatives
    return Dataset(
        events=events,
        items=items,
        users=users,
        queries=tables.get("queries"),
        text_fields=tuple(config.items.texts),
        category_fields=tuple(config.items.categories),
        number_fields=tuple(config.items.numbers),
        version=content_hash([events.drop("part", *session), items, users, tables.get("queries")]),
        sampled=sample_negatives(events, negatives) if negatives else None,
        told=told,
    )
