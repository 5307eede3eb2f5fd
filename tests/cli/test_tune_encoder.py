"""knowflow tune encoder as a user calls it: what it says, what it writes, and what it refuses."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def films(make_shop):
    """30 films of three kinds; each of 12 users likes one kind alone, in an order of their own."""
    shop = make_shop(items=30)
    shop.write_events(
        [
            (f"u{user}", f"i{3 * ((place * (user + 1)) % 10) + user % 3}", START + timedelta(hours=place), 5.0)
            for user in range(12)
            for place in range(10)
        ]
    )
    return shop


def test_an_encoder_is_tuned_says_what_it_saw_and_is_used_by_the_dense_encoder(films, plain_knowflow, tmp_path):
    out = tmp_path / "note"
    words = ["tune", "encoder", "--config", str(films.config), "--out", str(out), "--hold-out", "0.2", "--epochs", "2"]

    told = plain_knowflow.run(*words, "--batch-pairs", "16", "--until", "2024-01-01T07:00")
    again = plain_knowflow.run(*words, "--batch-pairs", "16", "--until", "2024-01-01T07:00", "--resume", "--json")
    refused = plain_knowflow.run(*words)

    assert told.returncode == again.returncode == 0, told.stderr + again.stderr
    found = json.loads(again.stdout)
    lines = told.stdout.splitlines()
    assert lines[0] == f"tuned model (projection), {found['figures']['steps']} steps"
    assert found["seen_until"] == "2024-01-01T06:00:00+00:00"  # strictly before --until
    assert set(found["train_items"]) | set(found["held_out_items"]) == {f"i{place}" for place in range(30)}
    assert not set(found["train_items"]) & set(found["held_out_items"])
    assert found["held_out_items"]
    assert lines[-1] == f"encoder {out}, revision {found['revision']}"
    assert f"encoders: {{note: {{kind: dense, model: {out}, pooling: mean}}}}" in told.stderr
    assert refused.returncode == 2
    assert "holds a tuned model\n  give another folder" in refused.stderr
    from base.progress import silent
    from encoders.dense import DenseEncoder

    encoder = DenseEncoder(str(out), "mean", 128, 8)
    assert encoder.encode(["Thing 1", "Thing 2"], silent).shape == (2, 384)
    assert encoder.seen_until is not None


def test_a_language_model_is_judged_by_what_it_writes_about_items_that_were_not_learnt(
    films, plain_knowflow, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # tiny_model makes the model
    from tiny_model import make_model

    kinds = ["Crime", "Drama", "War"]
    items = pl.read_parquet(films.folder / "items.parquet")
    genres = [[kinds[int(item[1:]) % 3], "Seen"] for item in items["item"]]
    items.with_columns(pl.Series("genres", genres)).write_parquet(films.folder / "items.parquet")
    films.configure(items={**films.settings["items"], "categories": {"genres": "genres"}})
    words = ["tune", "encoder", "--config", str(films.config), "--model", str(make_model(tmp_path / "tiny"))]
    words += ["--out", str(tmp_path / "note"), "--method", "full", "--no-show-fields", "--hold-out", "0.3"]
    words += ["--epochs", "1", "--batch-pairs", "16", "--written", "5"]

    told = plain_knowflow.run(*words)

    assert told.returncode == 0, told.stderr
    written = json.loads((tmp_path / "note" / "knowflow_tuning.json").read_text())["figures"]["written"]
    lines = told.stdout.splitlines()
    begin = lines.index("written about 5 items that were not learned (category of 5 and hashtags of 5)")
    assert lines[begin + 1].split() == ["measure", "most", "common", "before", "after"]
    rows = {line.rsplit(maxsplit=3)[0]: line.split()[-3:] for line in lines[begin + 2 : begin + 8]}
    assert rows == {
        f"{task}: {name}": [f"{written[arm][task][name]:.3f}" for arm in ("most_common", "before", "after")]
        for task, names in {
            "category": ["accuracy", "illusory"],
            "hashtags": ["bleu", "chrf", "precision", "recall"],
        }.items()
        for name in names
    }
    assert written["most_common"]["category"]["illusory"] == 0 < written["before"]["category"]["illusory"]


def test_what_cannot_be_tuned_is_told_in_words_and_nothing_is_written(films, plain_knowflow, tmp_path):
    out = tmp_path / "out"
    cases = {
        ("--hold-out", "1.5"): "--hold-out: should be less than 1, not 1.5",
        ("--model", str(tmp_path)): f"--model: {tmp_path} has no config.json\n  set it to the folder of a model",
        ("--until", "2023-01-01"): "there is no pair to learn from\n  give a later --until",
        ("--knowledge", "kar_user"): "--knowledge: kar_user is not about items",
        (
            "--knowledge",
            "kar_item",
        ): "--knowledge: kar_item has no text yet\n  make some: knowflow refresh --task kar_item",
        ("--method", "half"): "--method: should be 'projection', 'lora' or 'full', not half",
    }

    for options, told in cases.items():
        done = plain_knowflow.run("tune", "encoder", "--config", str(films.config), "--out", str(out), *options)
        assert (done.returncode, done.stdout) == (2, ""), (options, done.stderr)
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert not out.exists()
