"""Near items asked for often: what the first question has read serves the others, until what it was read of changes."""

import shutil

import polars as pl
import pytest

import app.near_items as module
from app.config import load_config
from app.near_items import near_items
from base.faults import WrongUse
from feature_store.releases import get_release, publish
from tests.conftest import opened


@pytest.fixture
def films(searched_shop, tmp_path):
    """A copy of the shop of films."""
    return opened(shutil.copytree(searched_shop.folder, tmp_path / "shop"))


@pytest.fixture
def ask(films, monkeypatch):
    """Ask a shop; gives what was found with the number of times that data and vectors were read."""
    read: list[str] = []
    for name in ("open_dataset", "open_items"):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, real=real, name=name: (read.append(name), real(*given))[1])
    kept: module.Kept = {}

    def one_question(item: str = "i0", encoder: str = "dense", **how):
        read.clear()
        config = load_config(films.config)
        near, *_ = near_items(config, item, 3, "item_facts", encoder, None, kept, **how)
        return [one.item for one in near], sorted(read)

    return one_question


def test_the_first_question_reads_and_the_others_do_not(ask):
    first, again, exact, other = ask(), ask(), ask(exact=True), ask("i3")

    assert first[1] == ["open_dataset", "open_items"]
    assert again == exact == (first[0], [])
    assert (other[0] != first[0], other[1]) == (True, [])


def test_other_vectors_are_opened_and_a_changed_file_is_read_again(ask, films):
    ask()
    lexical, file = ask(encoder="lexical")[1], films.folder / "items.parquet"
    items = pl.read_parquet(file)
    items.with_columns(title=pl.col("title").str.replace("Bank Heist", "Renamed")).write_parquet(file)

    renamed = ask("renamed", "lexical")

    assert lexical == ["open_items"]
    assert renamed[1] == ["open_dataset"]
    with pytest.raises(WrongUse, match="no item has this id or title"):
        ask("Bank Heist", "lexical")


def test_a_new_release_is_opened_and_finds_what_it_holds(ask, films):
    store = films.place().store
    before = ask()
    with store.writer("a test") as writer:
        writer.delete("lineage", "entity", [before[0][0]])
        publish(writer, get_release(store).facts)

    after = ask()

    assert (after[0][:2], after[1]) == (before[0][1:], ["open_items"])


def test_a_new_store_in_the_same_place_is_opened(ask, films):
    before = ask()
    shutil.rmtree(films.folder / "runs")
    (films.folder / ".knowflow.yaml.store").unlink(missing_ok=True)
    items = pl.read_parquet(films.folder / "items.parquet")
    items.with_columns(title=pl.col("title").gather([1, 2, 3, 4, 5, 6, 0])).write_parquet(
        films.folder / "items.parquet"
    )
    films.release("item_facts")  # its tables have the same versions as before

    after = ask()

    assert after[1] == ["open_dataset", "open_items"]
    assert after[0] != before[0]
