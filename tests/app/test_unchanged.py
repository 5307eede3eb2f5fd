"""A refresh with nothing to do: it is recognised by all that a refresh reads, and each part of it alone is missed."""

import json
import os
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

from app.asking import Asking
from app.config import load_config
from app.unchanged import FILE, note_refreshed, unchanged_since, what_is_read
from feature_store.forgotten import note_forgotten

OWN_ENGINE = Path(__file__).parents[2] / "benchmarks" / "own_data_engine"


@pytest.fixture
def shop(make_shop):
    """A shop whose refresh reads a file of every kind: data, a plug-in, a domain, prompts, a model's folder."""
    shop = make_shop()
    shutil.copytree(OWN_ENGINE, shop.folder / "plugins")
    (shop.folder / "prompts").mkdir()
    (shop.folder / "prompts" / "kar_item.v1.md").write_text("a prompt", encoding="utf-8")
    (shop.folder / "weights").mkdir()
    (shop.folder / "weights" / "model.safetensors").write_bytes(bytes(100))
    shutil.copy(shop.folder / "items.parquet", shop.folder / "only.parquet")
    only = {"path": "only.parquet", "column": "item"}
    shop.configure(plugins=["plugins"], engine={"name": "echo", "model": "weights"}, tasks={"kar_item": {"only": only}})
    return shop


def read_of(shop, tasks=None, **asking):
    return what_is_read(load_config(shop.config), tasks, Asking(**asking))


def noted(shop):
    store = load_config(shop.config).store_folder
    (store / "lineage.lance").mkdir(parents=True)
    (store / "lineage.lance" / "1.lance").write_bytes(b"rows")
    (store / "store.json").write_text("{}", encoding="utf-8")
    note_refreshed(load_config(shop.config), read_of(shop), "rel-000007")


def since(shop, **asking):
    return unchanged_since(load_config(shop.config), read_of(shop, **asking))


def test_what_a_refresh_left_is_unchanged_until_something_is_not(shop):
    assert since(shop) is None  # never noted
    noted(shop)

    assert since(shop) == "rel-000007"
    assert since(shop, tasks=["kar_item"]) is None
    assert since(shop, slice="1/10") is None
    shop.configure(domain="films")
    assert since(shop) is None
    shop.configure(domain="generic")
    assert since(shop) == "rel-000007"


def rewrite(path: Path) -> None:
    """Change one byte, and nothing else: neither the size nor the times."""
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "name",
    [
        "events.parquet",
        "items.parquet",
        "only.parquet",
        "plugins/echo.py",
        "prompts/kar_item.v1.md",
        "weights/model.safetensors",
        "runs/store/store.json",
    ],
)
def test_one_other_byte_of_any_file_is_a_change(shop, name):
    noted(shop)

    rewrite(shop.folder / name)

    assert since(shop) is None
    rewrite(shop.folder / name)
    assert since(shop) == "rel-000007"


def test_files_that_come_and_go_are_changes(shop):
    noted(shop)
    table = shop.folder / "runs" / "store" / "lineage.lance"
    new = [
        table / "2.lance",
        shop.folder / "runs" / "store" / "other.lance" / "1.lance",
        shop.folder / "plugins" / "more.py",
        shop.folder / "prompts" / "more.v1.md",
    ]

    for path in new:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert since(shop) is None, path
        path.unlink()
        assert since(shop) == "rel-000007", path
    (table / "1.lance").write_bytes(b"row")  # cut short
    assert since(shop) is None


def test_parts_that_a_pattern_names_are_read(shop):
    (shop.folder / "log").mkdir()
    events = pl.read_parquet(shop.folder / "events.parquet")
    events[:10].write_parquet(shop.folder / "log" / "1.parquet")
    shop.configure(events=shop.settings["events"] | {"path": "log/*.parquet"})
    noted(shop)
    assert since(shop) == "rel-000007"

    events[10:].write_parquet(shop.folder / "log" / "2.parquet")

    assert since(shop) is None


def test_a_forgotten_user_is_a_change(shop):
    noted(shop)
    config = load_config(shop.config)

    note_forgotten(config.store_folder, config.home_folder, ["u1"], "2026-01-01")

    assert since(shop) is None


def test_what_a_plug_in_imports_from_elsewhere_is_read(shop, tmp_path, monkeypatch):
    code = tmp_path / "lib" / "our_words_7.py"
    code.parent.mkdir()
    code.write_text("WORDS = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(code.parent))
    monkeypatch.setattr("app.unchanged.STARTED", float("inf"))
    engine = shop.folder / "plugins" / "echo.py"
    engine.write_text("import our_words_7\n" + engine.read_text(encoding="utf-8"), encoding="utf-8")
    try:
        noted(shop)
        assert since(shop) == "rel-000007"

        code.write_text("WORDS = 2\n", encoding="utf-8")

        assert since(shop) is None
    finally:
        sys.modules.pop("our_words_7")


def test_our_own_code_is_read(shop, monkeypatch, tmp_path):
    noted(shop)
    code = tmp_path / "code"
    for room in ("app", "prompts"):
        (code / room).mkdir(parents=True)
    (code / "app" / "publish.py").write_text("a", encoding="utf-8")
    monkeypatch.setattr("app.unchanged.HERE", code)
    assert read_of(shop) is None  # written after this process began: it runs something older
    monkeypatch.setattr("app.unchanged.STARTED", float("inf"))
    note_refreshed(load_config(shop.config), read_of(shop), "rel-000007")
    assert since(shop) == "rel-000007"

    (code / "app" / "publish.py").write_text("b", encoding="utf-8")

    assert since(shop) is None


def test_errors_to_retry_and_engines_and_stores_from_elsewhere_are_never_unchanged(shop):
    noted(shop)

    assert read_of(shop, retry=("all",)) is None
    assert since(shop, retry=("all",)) is None
    shop.configure(store={"url": "s3://bucket/shop"})  # another machine may have changed its tables
    assert read_of(shop) is None
    shop.configure(store=None, engine={"name": "scripted:ScriptedEngine", "model": "scripted"})
    assert read_of(shop) is None
    note_refreshed(load_config(shop.config), None, "rel-000008")
    assert json.loads((shop.folder / "runs" / FILE).read_text())["release"] == "rel-000007"


def test_a_plug_in_that_was_edited_after_this_process_imported_it_is_never_noted(shop):
    noted(shop)
    with (shop.folder / "plugins" / "echo.py").open("a", encoding="utf-8") as file:
        file.write("# another word\n")

    assert read_of(shop) is None  # this process runs the old one


@pytest.mark.parametrize("place", [".", "own/.hidden", "linked"])
def test_plug_ins_and_prompts_are_read_wherever_they_lie(shop, tmp_path, place):
    folder = shop.folder / place
    folder.mkdir(parents=True, exist_ok=True)
    if place == "linked":
        (tmp_path / "elsewhere").mkdir()
        (folder / "domains").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "back").symlink_to(folder)  # a link that leads back
        folder = folder / "domains"
    shop.configure(plugins=["plugins", place.split("/")[0]], prompts=place.split("/")[0])
    file = folder / "words.v1.md"
    file.write_text("a", encoding="utf-8")
    noted(shop)
    assert since(shop) == "rel-000007"

    file.write_text("b", encoding="utf-8")

    assert since(shop) is None


def test_hidden_parts_of_the_data_are_read(shop):
    hidden = shop.folder / "log" / ".day"
    hidden.mkdir(parents=True)
    shutil.copy(shop.folder / "events.parquet", hidden / "1.parquet")
    shop.configure(events=shop.settings["events"] | {"path": "log"})
    noted(shop)

    rewrite(hidden / "1.parquet")

    assert since(shop) is None


def test_words_that_are_no_paths_are_no_harm(shop):
    words = ["~nobody_of_this_name", "x" * 5_000, "~", "..", "*", "a\0b"]
    events = {name: column for name, column in shop.settings["events"].items() if name != "rating"}
    shop.configure(label={"positive": words}, events={**events, "label": "rating"})

    assert read_of(shop) is not None


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"release": "rel-000007"}', "\x00"])
def test_a_broken_note_is_none(shop, content):
    noted(shop)
    (shop.folder / "runs" / FILE).write_text(content, encoding="utf-8")

    assert since(shop) is None
