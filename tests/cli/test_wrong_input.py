"""Wrong input: a sentence with place and remedy, exit code 2, and not a byte written."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

ADVICE = "fix the rows, or add to skip in knowflow.yaml to leave them out:"
TIME = "2024-01-0{day}T00:00:00"


def events_as_text(shop, rows: list[tuple[Any, ...]], **mapping: str) -> None:
    """Write the events as CSV, which can hold what Parquet's types refuse."""
    columns = ["user", "item", "time", mapping.pop("value", "rating")]
    lines = [",".join(columns), *(",".join(str(cell) for cell in row) for row in rows)]
    (shop.folder / "events.csv").write_text("\n".join(lines) + "\n")
    events = {"path": "events.csv", "user": "user", "item": "item", "time": "time"}
    shop.configure(events=events | (mapping or {"rating": "rating"}))


def missing_column(shop):
    shop.configure(events={**shop.settings["events"], "time": "times"})


def null_key(shop):
    events_as_text(shop, [("u1", "i1", TIME.format(day=1), 4), ("", "i2", TIME.format(day=2), 4)])


def duplicate_item(shop):
    pl.DataFrame({"item": ["i0", "i1", "i0"], "title": ["a", "b", "c"]}).write_parquet(shop.folder / "items.parquet")
    events_as_text(shop, [("u1", "i1", TIME.format(day=1), 4)])


def no_time(shop):
    events_as_text(shop, [("u1", "i1", "last Tuesday", 4)])


def rating_outside(shop):
    events_as_text(shop, [("u1", "i1", TIME.format(day=1), 50)])
    shop.configure(label={"rating_at_least": 4, "rating_range": [0.5, 5]})


def label_outside(shop):
    events_as_text(shop, [("u1", "i1", TIME.format(day=1), 2)], value="liked", label="liked")
    shop.configure(label={})


def unknown_item(shop):
    user, _, time, rating = shop.events()[0]
    shop.write_events([*shop.events(), (user, "i99", time + timedelta(days=1), rating)])


def missing_file(shop):
    (shop.folder / "items.parquet").unlink()


def unknown_engine(shop):
    shop.configure(engine={"name": "oracle"})


def unknown_domain(shop):
    shop.configure(domain="filmes")


def home_that_is_a_file(shop):
    (shop.folder / "taken").write_text("")
    shop.configure(home="taken")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            missing_column,
            ["events.parquet: 1 fault, nothing was read", "column  times  is missing; did you mean 'time'?"],
        ),
        (null_key, ["events.csv: 1 fault", "line 3  user  is empty", ADVICE]),
        (duplicate_item, ["items.parquet: 1 fault", "row 3  item  'i0'  appears more than once", ADVICE]),
        (no_time, ["line 2  time  'last Tuesday'  is not a time", ADVICE]),
        (rating_outside, ["line 2  rating  '50'  is outside 0.5 to 5", ADVICE]),
        (label_outside, ["line 2  liked  '2'  is neither 0 nor 1", ADVICE]),
        (unknown_item, ["row 21  item  'i99'  is not in items.parquet", ADVICE]),
        (missing_file, ["items.parquet: 1 fault, nothing was read", "there is no such file"]),
        (
            unknown_engine,
            ["engine.name: there is no engine 'oracle'", "use openai, recorded, vllm, or package.module:Class"],
        ),
        (unknown_domain, ["filmes", "films"]),
        (home_that_is_a_file, ["taken", "fix the path, the rights or the disk"]),
    ],
)
def test_wrong_data_and_settings_are_told_and_nothing_is_written(
    shop, plain_knowflow, spoil: Callable, told: list[str]
):
    spoil(shop)
    before = sorted(shop.folder.rglob("*"))

    done = plain_knowflow.run("refresh", "--config", str(shop.config))

    assert done.returncode == 2
    assert done.stdout == ""
    for words in told:
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(shop.folder.rglob("*")) == before  # no store, no folder at all
    assert shop.calls() == []


def test_unknown_names_are_told_with_those_there_are(shop, plain_knowflow):
    shop.ask("item_facts")
    with shop.place().store.writer("a test") as writer:
        from feature_store.releases import publish

        publish(writer, {"vectors": {}})
    before, config = shop.store_bytes(), ["--config", str(shop.config)]
    cases = {
        (
            "plan",
            "--task",
            "kar_itm",
        ): "no such task: kar_itm\n  there are: agent4rec, cot_examples, ",
        (
            "refresh",
            "--task",
            "kar_itm",
        ): "no such task: kar_itm\n  there are: agent4rec, cot_examples, ",
        (
            "train",
            "--arms",
            "base,fakts",
        ): "no such arm: fakts\n  there are: constant, base, ",
        ("train", "--arms", ","): "no such arm: ,\n",
        ("train", "--release", "rel-000009"): "there is no release 'rel-000009'; the newest are rel-000001",
        ("leak-check", "--release", "rel-000009"): "there is no release 'rel-000009'; the newest are rel-000001",
        ("release", "show", "rel-000009"): "there is no release 'rel-000009'; the newest are rel-000001",
        ("release", "rollback", "rel-000009"): "there is no release 'rel-000009'; the newest are rel-000001",
        ("report", "--train-run", "train-000009"): "there is no finished training run\n  train first: knowflow train",
    }

    for arguments, told in cases.items():
        done = plain_knowflow.run(*arguments, *config)
        assert (done.returncode, done.stdout) == (2, ""), (arguments, done.stderr)
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert shop.store_bytes() == before


def test_a_busy_store_is_told_with_who_is_writing(shop, knowflow):
    with shop.place().store.writer("knowflow refresh elsewhere"):
        done = knowflow.run("refresh", "--config", str(shop.config))

    assert done.returncode == 2
    assert "another process is writing: knowflow refresh elsewhere, process" in done.stderr
    assert "wait for it to end, or stop it, and run this again" in done.stderr
    assert "Traceback" not in done.stderr
    assert shop.calls() == []


def test_a_server_that_does_not_answer_is_told_before_anything_is_asked(shop, plain_knowflow):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        done = plain_knowflow.run("refresh", "--config", str(shop.config))

    assert done.returncode == 2
    assert "http://127.0.0.1:9/api: no Prefect server answers there: " in done.stderr
    assert "start it: prefect server start" in done.stderr
    assert "Traceback" not in done.stderr
    assert shop.calls() == []


def test_rows_left_out_are_told_once_however_often_they_are_read(shop, knowflow):
    unknown_item(shop)
    shop.configure(skip_bad_rows=True)

    done = knowflow.run("refresh", "--config", str(shop.config), "--json")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("events.parquet: left out 1 row with faults: 1 unknown_items\n") == 1
    assert json.loads(done.stdout)["release"] == "rel-000001"


def test_an_error_nobody_foresaw_is_a_sentence_and_its_traceback_comes_with_debug(shop, plain_knowflow):
    folder = shop.folder / "runs" / "train" / "train-000001"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("no JSON at all")

    plain = plain_knowflow.run("report", "--config", str(shop.config))
    debugged = plain_knowflow.run_apart("report", "--config", str(shop.config), "--debug")

    assert plain.returncode == debugged.returncode == 1
    assert plain.stderr.startswith("something went wrong that should not: ")
    assert plain.stderr.endswith("\n  its traceback: add --debug\n")
    assert "Traceback" not in plain.stderr
    assert "Traceback (most recent call last)" in debugged.stderr
