"""Loading: the user's files become the documented tables, or a list of everything that is wrong with them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from sources.columns import to_categories, to_id, to_number, to_time
from sources.config import EventsConfig, Fields, LabelConfig, QueriesConfig, SourceConfig
from sources.faults import Fault, SourceFaults
from sources.read import ROW, read_columns
from sources.tables import Dataset, content_hash

logger = logging.getLogger("sources")


@dataclass
class _Table:
    """One file on its way: canonical columns, and the rows that have faults."""

    path: Path
    raw: pl.DataFrame
    columns: dict[str, pl.Series] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)

    def reject(self, mask: pl.Series, column: str | None, what: str, mend: str) -> None:
        """Note a fault for every row of a mask."""
        shown = [column] if column else []
        for row in self.raw.filter(mask.fill_null(value=False)).select(ROW, *shown).iter_rows():
            value = None if not shown or row[1] is None else str(row[1])
            self.faults.append(Fault(self.path.name, row[0], column, value, what, mend))
            self.bad.add(row[0])

    def take(
        self, name: str, column: str, convert: Callable[[pl.Series], tuple[pl.Series, pl.Series]], what: str
    ) -> None:
        """Convert a column, rejecting values the conversion cannot take."""
        self.columns[name], bad = convert(self.raw[column])
        self.reject(bad, column, what, "mend the value, or leave it empty where a value may be missing")

    def require(self, column: str) -> None:
        """Reject rows where a column is empty."""
        values = self.raw[column]
        empty = values.is_null() if values.dtype != pl.String else values.is_null() | (values.str.strip_chars() == "")
        self.reject(empty, column, "is empty", "fill it in")

    def finish(self) -> pl.DataFrame:
        """The canonical columns, without the rows that have faults."""
        table = pl.DataFrame([series.alias(name) for name, series in self.columns.items()])
        return table.filter(~self.raw[ROW].is_in(sorted(self.bad))) if self.bad else table


def load(config: SourceConfig, folder: Path, skip_bad_rows: bool = False) -> Dataset:
    """Read and validate the user's data.

    Args:
        config: The mapping.
        folder: What its paths are relative to.
        skip_bad_rows: Leave out rows with faults (and say so in the log); missing files and columns still fail.

    Returns:
        The documented tables.

    Raises:
        SourceFaults: Everything that is wrong with all files, at once.
    """
    faults: list[Fault] = []
    items = _open(folder / config.items.path, [*_field_columns(config.items), config.items.title], "items", faults)
    events = _open(folder / config.events.path, _event_columns(config.events), "events", faults)
    users = queries = None
    if config.users:
        users = _open(folder / config.users.path, _field_columns(config.users), "users", faults)
    if config.queries:
        queries = _open(folder / config.queries.path, _query_columns(config.queries), "queries", faults)
    if items:
        _fill_entity(items, config.items, "item")
        items.columns["title"] = items.raw[config.items.title].cast(pl.String)
        items.require(config.items.title)
    if users and config.users:
        _fill_entity(users, config.users, "user")
    if events:
        _fill_events(events, config.events, config.label)
        _check_known(events, "item", config.events.item, items, config.items.path)
        if users and config.users:
            _check_known(events, "user", config.events.user, users, config.users.path)
    if queries and config.queries:
        _fill_queries(queries, config.queries)
    tables = [table for table in (events, items, users, queries) if table]
    row_faults = [fault for table in tables for fault in table.faults]
    if faults or (row_faults and not skip_bad_rows):
        raise SourceFaults([*faults, *row_faults])
    for table in tables:
        if table.bad:
            logger.warning("%s: %s rows with faults were left out", table.path.name, f"{len(table.bad):,}")
    assert events is not None
    assert items is not None
    return _dataset(config, events.finish(), items.finish(), users, queries)


def _open(path: Path, columns: list[str], section: str, faults: list[Fault]) -> _Table | None:
    raw, found = read_columns(path, columns, section)
    faults += found
    return None if raw is None else _Table(path, raw)


def _field_columns(config: Fields) -> list[str]:
    return [config.id, *config.texts.values(), *config.categories.values(), *config.numbers.values()]


def _event_columns(config: EventsConfig) -> list[str]:
    target = config.rating if config.rating is not None else config.label
    return [config.user, config.item, config.time, *([target] if target else [])]


def _query_columns(config: QueriesConfig) -> list[str]:
    return [column for column in (config.query, config.user, config.item, config.time) if column]


def _fill_entity(table: _Table, config: Fields, key: str) -> None:
    table.require(config.id)
    table.columns[key] = to_id(table.raw[config.id])
    doubled = table.columns[key].is_duplicated() & table.columns[key].is_not_null()
    table.reject(doubled, config.id, "stands more than once", "keep one row of each id")
    for name, column in config.texts.items():
        table.columns[name] = table.raw[column].cast(pl.String)
    for name, column in config.categories.items():
        table.columns[name] = to_categories(table.raw[column], config.separator)
    for name, column in config.numbers.items():
        table.take(name, column, to_number, "is not a number")


def _fill_events(table: _Table, config: EventsConfig, rule: LabelConfig) -> None:
    for column in _event_columns(config):
        table.require(column)
    table.columns["user"], table.columns["item"] = to_id(table.raw[config.user]), to_id(table.raw[config.item])
    table.take("time", config.time, to_time, "is not a time")
    if config.rating is not None:
        table.take("rating", config.rating, to_number, "is not a number")
        liked = table.columns["rating"] >= rule.rating_at_least
        table.columns["rating"] = table.columns["rating"].cast(pl.Float32)
        table.columns["label"] = liked.cast(pl.Float32)
    elif config.label is not None:
        raw = table.raw[config.label]
        label = raw.cast(pl.Float64) if raw.dtype == pl.Boolean else to_number(raw)[0]
        outside = ~label.is_in([0.0, 1.0]).fill_null(value=False) & raw.is_not_null()
        table.reject(outside, config.label, "is neither 0 nor 1", "give 0 or 1, or name the column as events.rating")
        table.columns["rating"] = pl.Series([None] * len(raw), dtype=pl.Float32)
        table.columns["label"] = label.cast(pl.Float32)
    doubled = pl.DataFrame([table.columns[k].alias(k) for k in ("user", "item", "time")]).is_duplicated()
    table.reject(
        doubled & table.columns["time"].is_not_null(),
        config.item,
        "stands more than once with this user and time",
        "keep one row of each user, item and time",
    )


def _check_known(events: _Table, key: str, column: str, known: _Table | None, path: str) -> None:
    if known is None:
        return
    ids = events.columns[key].cast(pl.String)
    there = ids.is_in(known.columns[key].cast(pl.String).drop_nulls().unique().to_list())
    events.reject(
        ~there & ids.is_not_null(),
        column,
        f"is not in {Path(path).name}",
        f"add it to {Path(path).name}, or drop the row",
    )


def _fill_queries(table: _Table, config: QueriesConfig) -> None:
    table.require(config.query)
    table.columns["query"] = table.raw[config.query].cast(pl.String)
    if config.user:
        table.columns["user"] = to_id(table.raw[config.user]).cast(pl.String)
    if config.item:
        table.columns["item"] = to_id(table.raw[config.item]).cast(pl.String)
    if config.time:
        table.take("time", config.time, to_time, "is not a time")


def _dataset(
    config: SourceConfig, events: pl.DataFrame, items: pl.DataFrame, users: _Table | None, queries: _Table | None
) -> Dataset:
    text = pl.col("user", "item").cast(pl.String)
    events = (
        events.sort("time", "item", "user")
        .with_columns(text)
        .with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over("user").alias("position"))
        .select("user", "item", "time", "rating", "label", "position")
    )
    fields = [*config.items.texts, *config.items.categories, *config.items.numbers]
    items = items.sort("item").with_columns(pl.col("item").cast(pl.String)).select("item", "title", *fields)
    people = users.finish().sort("user").with_columns(pl.col("user").cast(pl.String)) if users else None
    typed = queries.finish() if queries else None
    return Dataset(
        events=events,
        items=items,
        users=people,
        queries=typed,
        text_fields=tuple(config.items.texts),
        category_fields=tuple(config.items.categories),
        number_fields=tuple(config.items.numbers),
        version=content_hash([events, items, people, typed]),
    )
