"""Loaded data that is kept: the same to the last value, and loaded anew when anything that loading reads has changed."""

import errno
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import polars as pl
import pytest

from app.config import load_config
from app.kept_data import FOLDER, keep_dataset
from app.workplace import open_dataset
from feature_store.forgotten import note_forgotten


def kept(shop):
    folder = shop.folder / "runs" / FOLDER
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def opened(shop, *, keep=False):
    config = load_config(shop.config)
    dataset = open_dataset(config)
    if keep:
        keep_dataset(config, dataset)
    return dataset


@pytest.fixture
def loads(monkeypatch):
    """Count the times that files are loaded."""
    import app.workplace

    seen = []
    real = app.workplace.load
    monkeypatch.setattr("app.workplace.load", lambda *of: seen.append(of) or real(*of))
    return seen


def check_same(one, other):
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, pl.DataFrame):
            assert mine.schema == theirs.schema
            assert mine.equals(theirs)
        else:
            assert mine == theirs, field.name


def test_kept_data_is_what_was_loaded_and_reading_alone_keeps_nothing(movielens, loads):
    first = opened(movielens)
    assert kept(movielens) == []
    opened(movielens, keep=True)

    again = opened(movielens)

    assert len(loads) == 2
    assert kept(movielens) == [first.loaded_from]
    assert first.queries is not None
    check_same(again, first)


def test_sampled_negatives_and_missing_tables_come_back_too(make_shop, loads):
    shop = make_shop()
    events = {name: column for name, column in shop.settings["events"].items() if name != "rating"}
    shop.configure(events=events, label={"negatives": {"per_positive": 2}})
    first = opened(shop, keep=True)
    assert first.sampled is not None

    check_same(opened(shop), first)
    assert len(loads) == 1


def test_what_was_left_out_is_said_again(make_shop, loads, caplog):
    shop = make_shop(skip_bad_rows=True)
    rows = shop.events()
    shop.write_events([*rows, ("", "i1", rows[0][2], 1.0)])
    with caplog.at_level(logging.WARNING, "sources"):
        opened(shop, keep=True)
        first = [record.getMessage() for record in caplog.records]
        caplog.clear()
        opened(shop)

    assert len(loads) == 1
    assert first == [record.getMessage() for record in caplog.records] != []


def test_another_file_mapping_or_forgotten_user_is_loaded_anew_and_replaces_what_was_kept(shop, loads):
    before = opened(shop, keep=True)
    times = (shop.folder / "events.parquet").stat()
    rows = shop.events()
    shop.write_events([(user, item, time, 6 - rating) for user, item, time, rating in rows])
    os.utime(shop.folder / "events.parquet", ns=(times.st_atime_ns, times.st_mtime_ns))
    after = opened(shop, keep=True)
    assert after.events["rating"].to_list() == [6 - rating for rating in before.events["rating"]]
    assert kept(shop) == [after.loaded_from] != [before.loaded_from]

    shop.configure(split={"by": "global_time", "train": 0.5, "validation": 0.25})
    other = opened(shop, keep=True)
    assert other.events["part"].to_list() != after.events["part"].to_list()

    config = load_config(shop.config)
    config.store_folder.mkdir(parents=True)
    note_forgotten(config.store_folder, config.home_folder, ["u1"], "2026-01-01")
    assert "u1" not in opened(shop).events["user"]
    assert len(loads) == 4


def test_data_that_changed_while_it_was_loaded_is_not_kept(shop):
    dataset = opened(shop)
    shop.write_items({f"i{place}": "Another" for place in range(12)})

    keep_dataset(load_config(shop.config), dataset)
    keep_dataset(load_config(shop.config), replace(dataset, loaded_from=""))

    assert kept(shop) == []


def test_files_beside_kept_data_stay_and_what_was_left_half_written_goes_after_a_day(shop):
    folder = shop.folder / "runs" / FOLDER
    old, young = (folder / f".{letter * 64}.77" for letter in "ab")
    for path in (old, young, folder / "mine", folder / ("c" * 64)):
        path.mkdir(parents=True)
    os.utime(old, (1, 1))

    dataset = opened(shop, keep=True)

    assert kept(shop) == sorted([dataset.loaded_from, "mine", young.name])  # another process may be writing the young


def test_processes_that_keep_the_same_data_at_once_do_not_disturb_each_other(make_shop):
    shop = make_shop(items=40, users=60, events=30)
    dataset = opened(shop)

    def keep(_):
        for _ in range(5):
            keep_dataset(load_config(shop.config), dataset)
            check_same(opened(shop), dataset)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(keep, range(6)))

    assert kept(shop) == [dataset.loaded_from]


@pytest.mark.parametrize("broken", ["facts.json", "events.parquet"])
@pytest.mark.parametrize("content", [b"", b"[1]", None])
def test_a_copy_that_a_kill_or_a_power_cut_has_damaged_is_loaded_again_and_replaced(shop, loads, broken, content):
    dataset = opened(shop, keep=True)
    file = shop.folder / "runs" / FOLDER / dataset.loaded_from / broken
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)

    check_same(opened(shop, keep=True), dataset)
    check_same(opened(shop), dataset)

    assert len(loads) == 2  # the second time it is whole again


def test_a_disk_that_takes_no_more_is_said_and_stops_nothing(shop, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset = opened(shop)
    monkeypatch.setattr("app.kept_data._write", full)

    keep_dataset(load_config(shop.config), dataset)

    assert kept(shop) == []
    assert "cannot be kept, so each stage loads it again: [Errno 28] No space left on device" in caplog.text


def test_kept_data_of_which_a_file_is_gone_is_loaded_again(shop, loads):
    dataset = opened(shop, keep=True)
    (shop.folder / "runs" / FOLDER / dataset.loaded_from / "items.parquet").unlink()

    check_same(opened(shop), dataset)
    assert len(loads) == 2
