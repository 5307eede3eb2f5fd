"""Rows that a user gives: which columns are read, what ids and times mean, and what is wrong with them."""

from datetime import UTC, datetime

import polars as pl

from app.config import load_config
from app.given_rows import RowColumns, RowReader, find_columns
from feature_store.timeline import LIVE
from sources.config import RowOrder
from sources.times import to_time


def test_each_time_means_the_same_beside_any_other_and_numbers_mean_what_they_mean_in_the_log():
    said = ["1704074400.1", "1704074400123", "2024-01-01 02:00:00", "1704074400123456", "soon", "inf", None]

    def read(column: pl.Series) -> list[int]:
        return RowReader({"time": "time"}, None, None).keys(column.alias("time").to_frame()).time.tolist()

    together = read(pl.Series(said))

    assert together == [read(pl.Series([one], dtype=pl.String))[0] for one in said]
    numbers = [0, 1, 3]
    in_log = to_time(pl.Series([said[place] for place in numbers]))[0].to_physical().to_list()
    assert [together[place] for place in numbers] == in_log
    assert in_log == [1_704_074_400_100_000, 1_704_074_400_123_000, 1_704_074_400_123_456]
    assert read(pl.Series([1704074400.1, 1704074400123])) == in_log[:2]
    assert together[4:] == [LIVE] * 3


def test_decimal_ids_are_read_as_the_log_reads_them():
    reader = RowReader({"user": "id"}, None, None)
    whole = pl.Series("id", ["5", "12.00", None]).cast(pl.Decimal(18, 2)).to_frame()
    large = pl.Series("id", ["12345678901234567890"]).cast(pl.Decimal(30, 0)).to_frame()

    assert reader.keys(whole).user.to_list() == ["5", "12", None]
    assert reader.keys(large).user.to_list() == ["12345678901234567890"]
    assert reader.checked(whole) == ["id"]
    assert [fault.what for fault in reader.faults(whole, "rows", 1)] == []
    broken = pl.Series("id", ["5", "1.50"]).cast(pl.Decimal(18, 2)).to_frame()
    assert [(fault.row, fault.value, fault.what) for fault in reader.faults(broken, "rows", 1)] == [
        (2, "1.5", "is no id of a user")
    ]


def test_a_log_in_row_order_refuses_times_and_takes_rows_without_one(make_shop):
    config = load_config(make_shop().config)
    events = config.source.events.model_copy(update={"time": RowOrder(by="row_order")})
    ordered = config.model_copy(update={"source": config.source.model_copy(update={"events": events})})
    rows = pl.DataFrame({"user": ["u1"], "item": ["i1"], "time": [datetime(2024, 1, 1, tzinfo=UTC)]})

    _, faults = find_columns(ordered, RowColumns(), rows.clear(), ("user", "item"), (), "rows")

    assert [(fault.column, "row_order" in fault.what) for fault in faults] == [("time", True)]
    reader, faults = find_columns(ordered, RowColumns(), rows.drop("time").clear(), ("user", "item"), (), "rows")
    assert (faults, reader.keys(rows).time.tolist()) == ([], [LIVE])
    assert find_columns(config, RowColumns(), rows.clear(), ("user", "item"), (), "rows")[1] == []
