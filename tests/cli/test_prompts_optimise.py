"""`knowflow prompts optimise`: every version with its figure and rows, what was used, what is next."""

import json
import signal

import pytest
from optimise_shop import configured, optimise_shop

from app.config import load_config
from feature_store.database import Store
from feature_store.schemas import ANSWERS

WORDS = ("prompts", "optimise", "rank_candidates")
BUDGET = ("--budget", "60k-tokens", "--rows", "18")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return optimise_shop(tmp_path_factory.mktemp("shop"))


def test_it_shows_every_version_what_was_used_and_what_is_next(file, plain_knowflow):
    done = plain_knowflow.run(*WORDS, "--method", "gepa", *BUDGET, "--config", file)
    told = json.loads(plain_knowflow.run(*WORDS, "--method", "gepa", *BUDGET, "--config", file, "--json").stdout)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    heading, columns, first = lines[:3]
    assert heading.startswith("gepa of rank_candidates.v1: ndcg@10 on validation rows (")
    assert columns.split()[:5] == ["version", "from", "by", "ndcg@10", "rows"]
    assert first.split()[:3] == ["rank_candidates.v1", "the", "first"]
    assert len(told["candidates"]) == sum(line.startswith("rank_candidates.v") for line in lines[2:-1])
    assert told["best"] != "rank_candidates.v1"
    assert f"{told['best']} is the best on these rows, now a trial: " in lines[-1]
    assert f"used {told['tokens']:,} tokens" in lines[-2]
    assert told["tokens"] <= 60_500
    assert "rejected: " in done.stderr
    version = told["best"].rpartition(".")[2]
    assert f"next: knowflow prompts eval rank_candidates --versions v1,{version} --config {file}" in done.stderr


def test_again_it_uses_stored_answers_and_says_so(file, plain_knowflow):
    done = plain_knowflow.run(*WORDS, "--method", "gepa", *BUDGET, "--config", file)
    told = json.loads(plain_knowflow.run(*WORDS, "--method", "gepa", *BUDGET, "--config", file, "--json").stdout)

    assert told["tokens_stored_before"] == told["tokens"] > 40_000
    assert f"used {told['tokens']:,} tokens, {told['tokens']:,} of them stored before" in done.stdout


def test_the_first_version_stays_if_the_budget_finds_no_better_one(file, plain_knowflow):
    done = plain_knowflow.run(*WORDS, "--method", "recprompt", "--budget", "1500", "--rows", "6", "--config", file)

    assert done.returncode == 0, done.stderr
    assert "rank_candidates.v1 stays: none of 0 rewritten versions is better on these rows" in done.stdout
    assert "the budget is used up: " in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "much"], "'much' is no budget\n  give one such as 200k-tokens, 2M-tokens or 5-usd"),
        (["--budget", "5-eur"], "'5-eur' is no budget"),
        (["--budget", "5-usd"], "knowflow.yaml sets no prices"),
        (["--method", "magic"], "no such optimiser: magic"),
        (["--set", "recprompt.rounds=3"], "--set recprompt: the method is gepa"),
        (["--set", "gepa.rounds=0"], "gepa.rounds: Input should be greater than or equal to 1"),
        (["--version", "best"], "--version best: is no version"),
        (["--version", "v99"], "rank_candidates.v99.md"),
    ],
)
def test_wrong_words_are_refused_in_plain_language(file, plain_knowflow, words, message):
    done = plain_knowflow.run(*WORDS, *words, "--config", file)

    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_options_of_the_method_can_be_set(file, plain_knowflow):
    done = plain_knowflow.run(
        *WORDS, "--method", "gepa", *BUDGET, "--set", "gepa.rounds=1", "--config", file, "--json", "--seed", "1"
    )

    assert len(json.loads(done.stdout)["candidates"]) <= 2


def stored(file):
    """Key of every answer in the table -> its messages."""
    table = Store(load_config(file).store_folder).read("answers", ANSWERS, columns=["key", "messages"])
    return dict(zip(table["key"].to_pylist(), table["messages"].to_pylist(), strict=True))


def test_a_search_that_was_really_killed_continues_and_loses_no_answer(tmp_path, plain_knowflow):
    words = (*WORDS, "--method", "gepa", *BUDGET, "--json", "--config")
    whole = optimise_shop(tmp_path / "whole")
    expected = json.loads(plain_knowflow.run(*words, whole).stdout)
    file = optimise_shop(tmp_path / "killed", killed_after=70)

    killed = plain_knowflow.run_apart(*words, file)
    done = plain_knowflow.run(*words, configured(file, options={}))

    assert killed.returncode == -signal.SIGKILL
    told = json.loads(done.stdout)
    assert stored(file).keys() == stored(whole).keys()
    assert told["tokens_stored_before"] > 0
    differs = ("tokens_stored_before", "candidates")
    assert {name: of for name, of in told.items() if name not in differs} == {
        name: of for name, of in expected.items() if name not in differs
    }
    assert [one["score"] for one in told["candidates"]] == [one["score"] for one in expected["candidates"]]


def test_forgetting_a_user_takes_the_answers_of_searches_along(tmp_path, plain_knowflow):
    file = optimise_shop(tmp_path / "shop")
    plain_knowflow.run(*WORDS, *BUDGET, "--config", file)
    assert len(stored(file)) > 50

    done = plain_knowflow.run("forget", "u7", "--yes", "--config", file)

    assert done.returncode == 0, done.stderr
    assert stored(file) == {}  # nothing says whose rows they show, so all of them go
