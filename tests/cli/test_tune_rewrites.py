"""knowflow tune rewrites as a user calls it: what it says, what comes of it, and what it refuses."""

import json
from pathlib import Path

import polars as pl
import pytest


@pytest.fixture
def words(make_shop, tiny, tmp_path):
    """The words of the command on a shop with 40 queries, three rewrites each: one good, one poor, one useless."""
    shop = make_shop(items=40, users=4, events=4)
    numbers = range(40)
    shop.write_items({f"i{n}": f"film{n % 10} word{n % 4}" for n in numbers})
    log = pl.DataFrame({"q": [f"Word{n % 4} q{n}" for n in numbers], "i": [f"i{n}" for n in numbers]})
    log.write_parquet(shop.folder / "queries.parquet")
    shop.configure(
        queries={"path": "queries.parquet", "query": "q", "item": "i"}, rewrites={"threshold": 0.2, "results": 3}
    )
    rewrites = [[f"word{n % 4} film{n % 10}", f"film{n % 10}", f"nothing{n}"] for n in numbers]
    given = tmp_path / "candidates.parquet"
    pl.DataFrame({"query": log["q"], "rewrites": rewrites}).write_parquet(given)

    def make(out: Path, *options: str) -> list[str]:
        usual = {"--stage": "pro", "--model": str(tiny), "--candidate-file": str(given), "--results": "3"}
        left = [word for name, value in usual.items() if name not in options for word in (name, value)]
        return ["tune", "rewrites", "--config", str(shop.config), "--out", str(out), *left, *options]

    return make


FAST = ("--method", "full", "--learning-rate", "2e-3", "--row-tokens", "512")


def test_both_stages_say_what_was_learnt_and_what_came_of_it(words, plain_knowflow, tmp_path):
    sft, pro, judged = tmp_path / "sft", tmp_path / "pro", tmp_path / "judged.parquet"
    options = ["--stage", "sft", "--min-relevance", "0", "--thought-share", "0", "--judged", str(judged)]

    first = plain_knowflow.run(*words(sft, *FAST, *options))
    second = plain_knowflow.run(*words(pro, "--model", str(sft), *FAST, "--json"))

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    table = pl.read_parquet(judged)
    passing = table.filter((pl.col("relevance") > 0) & (pl.col("increment") > 0))
    assert table.filter("kept").equals(passing)
    training = table.filter(pl.col("part") == "train")
    assert f"{int(training['kept'].sum()):,} of training pass both filters" in first.stdout
    assert "tuned tiny (full)" in first.stdout
    assert first.stderr.splitlines()[-1].startswith(f"next: knowflow tune rewrites --stage pro --model {sft}")
    found = json.loads(second.stdout)
    assert found["objective"] == "pro"
    assert found["held_out"]["after"]["tau"] >= found["held_out"]["before"]["tau"]
    assert json.loads((pro / "knowflow_tuning.json").read_text())["data"]["rewrites"]["candidates"] == len(table)
    assert (pro / "model.safetensors").is_file()


def test_what_cannot_be_tuned_is_told_in_words_and_nothing_is_written(words, plain_knowflow, tmp_path):
    out, there = tmp_path / "out", tmp_path / "there"
    there.mkdir()
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"query": "a"}\n')
    cases = {
        ("--stage", "rank"): "--stage",
        ("--candidates", "1", "--min-relevance", "2"): "--min-relevance: should be less than or equal to 1, not 2\n",
        ("--model", str(there)): f"--model: {there} holds no config.json and no weights",
        ("--candidate-file", str(broken)): "broken.jsonl: 1 fault, nothing was read\n",
        ("--method", "full", "--merged", str(there)): f"leave it out\n--merged: {there} already exists\n",
        ("--stage", "sft", "--min-increment", "99"): "no rewrite passes both filters\n  lower --min-relevance",
    }

    for options, told in cases.items():
        done = plain_knowflow.run(*words(out, *options))
        assert (done.returncode, done.stdout) == (2, ""), (options, done.stderr)
        assert told in done.stderr, options
        assert "Traceback" not in done.stderr
    assert not out.exists()
