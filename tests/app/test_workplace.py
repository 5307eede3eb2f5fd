"""What names a kept plan beside the data: the settings of the engine and of a technique, with the files they name."""

import importlib
import json
import sys
import time

import pytest

from app.config import load_config
from app.workplace import kept_plans


@pytest.fixture
def shop(make_shop):
    shop = make_shop()
    (shop.folder / "tokenizer").mkdir()
    (shop.folder / "tokenizer" / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    (shop.folder / "words.txt").write_text("grim", encoding="utf-8")
    options = {"urls": "http://127.0.0.1:9/v1", "tokenizer": "tokenizer"}
    shop.configure(engine={"name": "openai", "model": "m", "options": options})
    return shop


def kept_of(shop):
    kept = kept_plans(load_config(shop.config))
    assert kept is not None
    return kept


def test_a_file_that_the_engine_reads_names_other_plans_when_it_is_edited(shop):
    before = kept_of(shop)
    assert kept_of(shop).engine == before.engine
    (shop.folder / "tokenizer" / "chat_template.jinja").write_text("Be brief. {{ messages }}", encoding="utf-8")

    after = kept_of(shop)
    assert after.engine != before.engine
    assert after.code == before.code
    shop.configure(options={"tokenizer": None})
    assert kept_of(shop).engine not in (before.engine, after.engine)


def test_a_file_that_an_option_names_is_read(shop):
    options = json.loads('{"words": ["words.txt"], "length": 3}')
    before = kept_of(shop).named(options)
    assert kept_of(shop).named(options) == before
    (shop.folder / "words.txt").write_text("warm", encoding="utf-8")

    assert kept_of(shop).named(options) != before


def test_code_that_is_imported_while_rows_are_made_is_not_covered(shop, monkeypatch):
    (shop.folder / "late_words.py").write_text("WORD = 'grim'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(shop.folder)
    monkeypatch.setattr("app.unchanged.STARTED", time.time() + 1)  # the file is older than the process
    kept = kept_of(shop)
    assert kept.covers()
    try:
        importlib.import_module("late_words")
        assert not kept.covers()
        assert kept_of(shop).covers()  # imported before, as in a later plan of this process
    finally:
        del sys.modules["late_words"]
