"""Kept facts of texts: equal to what is found from nothing, and never read when damaged or made by other code."""

import random
from pathlib import Path

import polars as pl
import pytest

from feature_store.kept_facts import complete_facts, keep_facts, read_facts, with_facts
from feature_store.text_facts import FACTS, find_facts
from feature_store.vectors import text_key

SAID = ["A warm film about two friends who want to rob the bank of a small town.", "Ein Film.", "Фильм о друзьях"]


class Texts:
    """Finds texts by their keys, and counts them."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.read: list[str] = []

    def __call__(self, keys: pl.Series) -> pl.DataFrame:
        self.read += keys.to_list()
        found = {"text_key": keys.to_list(), "text": [self.known[key] for key in keys]}
        return pl.DataFrame(found, dict.fromkeys(("text_key", "text"), pl.String))

    def rows(self, texts: list[str | None]) -> pl.DataFrame:
        """Return lineage of some texts; every fourth row has asked no model."""
        keys = [None if text is None else text_key(text) for text in texts]
        self.known |= {key: text for key, text in zip(keys, texts, strict=True) if key and text is not None}
        rows = [f"toy/{n}/0" for n in range(len(texts))]
        asked = [None if n % 4 == 3 else row for n, row in enumerate(rows)]
        return pl.DataFrame(
            {"row": rows, "task": "toy", "text_key": keys, "answer_key": asked},
            dict.fromkeys(("row", "task", "text_key", "answer_key"), pl.String),
        )


def facts_of(texts: list[str]) -> pl.DataFrame:
    return find_facts(pl.DataFrame({"text_key": [text_key(one) for one in texts], "text": texts}))


def test_facts_that_are_kept_are_those_found_from_nothing_whatever_changes_between_nights(tmp_path):
    chance, find = random.Random(0), Texts()

    def say() -> str | None:
        return None if chance.random() < 0.1 else " ".join(chance.choices([*SAID, "the", "</think>", "der"], k=9))

    said, before = [say() for _ in range(40)], None
    for share in (1.0, 0.1, 0.0, 0.5, 0.1):
        said = [say() if chance.random() < share else one for one in said]
        sides = [find.rows(said)] + ([find.rows(before)] if before else [])
        find.read.clear()
        kept = read_facts(tmp_path)
        facts, placed = complete_facts(kept, sides, find)
        read, (whole, of_whole) = set(find.read), complete_facts(FACTS.to_frame(), sides, find)

        assert [with_facts(of, facts).drop("place").to_dict(as_series=False) for of in placed] == [
            with_facts(of, whole).drop("place").to_dict(as_series=False) for of in of_whole
        ]
        assert read == set(whole["text_key"]) - set(kept["text_key"])  # none that is known, and of these only answers
        assert facts["text_key"].is_unique().all()
        keep_facts(tmp_path, facts[pl.concat([of["place"] for of in placed]).unique()])
        assert set(read_facts(tmp_path)["text_key"]) == set(whole["text_key"])  # what neither side holds is gone
        before = said


def test_keeping_replaces_our_files_and_no_others(tmp_path):
    (tmp_path / "notes.parquet").write_text("mine")
    (tmp_path / ".1.half").write_text("left by a kill")
    keep_facts(tmp_path, facts_of(SAID))
    keep_facts(tmp_path, facts_of(SAID[:1]))

    names = sorted(path.name for path in tmp_path.iterdir())

    assert names[1:] == ["notes.parquet"]
    assert len(names) == 2
    assert read_facts(tmp_path).equals(facts_of(SAID[:1]))


def _flip(file: Path) -> None:
    content, key = file.read_bytes(), text_key(SAID[0]).encode()
    file.write_bytes(content.replace(key, bytes([key[0] ^ 1]) + key[1:], 1))  # Parquet reads it without a word


@pytest.mark.parametrize(
    "harm",
    [
        _flip,
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: file.write_bytes(b""),
        lambda file: file.unlink(),
        lambda file: file.rename(file.with_name("facts.parquet")),
    ],
)
def test_a_file_that_is_damaged_or_gone_is_not_read(tmp_path, harm):
    keep_facts(tmp_path, facts_of(SAID))
    (file,) = tmp_path.iterdir()

    harm(file)

    assert read_facts(tmp_path).equals(FACTS.to_frame())


def test_what_other_code_found_is_not_read_and_goes(tmp_path, monkeypatch):
    keep_facts(tmp_path, facts_of(SAID))
    monkeypatch.setattr("feature_store.kept_facts.CODE", "0" * 16)

    assert read_facts(tmp_path).is_empty()
    keep_facts(tmp_path, facts_of(SAID[:2]))
    assert len(list(tmp_path.iterdir())) == 1
    assert len(read_facts(tmp_path)) == 2


def test_a_disk_that_takes_nothing_is_said_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "texts").write_text("a file, where a folder should be")

    keep_facts(tmp_path / "texts", facts_of(SAID))

    assert "cannot be kept, so the next refresh finds it anew: " in caplog.text
    assert read_facts(tmp_path / "texts").is_empty()
