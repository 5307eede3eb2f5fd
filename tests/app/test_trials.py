"""Trials: what they cost, that the same rows are asked once, and that nothing but answers is written."""

import polars as pl
import pytest

from app.config import load_config
from app.trial_plan import plan_trial
from app.trials import ask_trial, spending_of
from base.faults import WrongUse
from feature_store.lineage import read_lineage
from llm_tasks.pipeline.budget import BudgetReached, Limits

PROMPT = """---
task: kar_item
version: {version}
status: {status}
schema: {{type: text}}
sampling: {{temperature: 0.0, max_tokens: 30}}
---
# user
{text}
{{{{ input }}}}
"""


def run_trial(config, task, versions, sample, limits=None):
    """Plan a trial and ask what is missing, as the commands do."""
    plan = plan_trial(config, task, versions, sample)
    return ask_trial(plan, spending_of(plan.prices, limits or Limits()))


def write_version(shop, version, text, status="draft"):
    folder = shop.folder / "prompts"
    folder.mkdir(exist_ok=True)
    content = PROMPT.format(version=version, status=status, text=text)
    (folder / f"kar_item.v{version}.md").write_text(content)


@pytest.fixture
def two(make_shop):
    """A shop of 40 items whose item prompt has a live version and a draft."""
    shop = make_shop(items=40, users=6, events=15, prices={"input_per_million": 1.0, "output_per_million": 2.0})
    write_version(shop, 1, "Say it.", "live")
    write_version(shop, 2, "Say it briefly.")
    return shop


def test_a_plan_counts_the_calls_their_tokens_and_their_price_and_writes_nothing(two):
    plan = plan_trial(load_config(two.config), "kar_item", ["v1", "v2"], sample=10)

    first, second = plan.versions
    # `Say it.` and `Thing 7`: 4 words a row; `Say it briefly.`: 5.
    assert (first.calls, first.input_tokens, first.output_tokens_at_most) == (10, 40, 300)
    assert (second.calls, second.input_tokens, second.status) == (10, 50, "draft")
    assert second.cost_at_most == pytest.approx((50 * 1 + 300 * 2) / 1e6)
    assert (second.all_rows, second.all_input_tokens) == (40, 200)
    assert second.all_cost_at_most == pytest.approx((200 * 1 + 40 * 30 * 2) / 1e6)
    assert not (two.folder / "runs").exists()


def test_every_version_is_asked_about_the_same_rows_once_and_no_row_is_written(two):
    config = load_config(two.config)

    trial = run_trial(config, "kar_item", ["v2", "kar_item.v1"], sample=10)
    again = run_trial(config, "kar_item", ["1", "2"], sample=6)

    assert trial.versions == ("kar_item.v2", "kar_item.v1")
    assert len(two.calls()) == 20
    assert [row.row for row in again.rows] == [row.row for row in trial.rows[:6]]
    assert again.texts("kar_item.v2") == trial.texts("kar_item.v2")[:6]
    assert all(text and "answer" in text for text in trial.texts("kar_item.v1"))
    assert read_lineage(two.place().store).is_empty()
    assert plan_trial(config, "kar_item", ["v1"], sample=10).versions[0].cached == 10


def test_a_refresh_and_a_trial_share_their_answers(two):
    two.ask("kar_item")
    asked = len(two.calls())

    run_trial(load_config(two.config), "kar_item", ["v1"], sample=10)

    assert len(two.calls()) == asked == 40


def test_a_budget_stops_the_trial_and_keeps_what_was_answered(two):
    config = load_config(two.config)

    with pytest.raises(BudgetReached, match="answers so far are kept"):
        run_trial(config, "kar_item", ["v1", "v2"], sample=10, limits=Limits(max_tokens=60))
    kept = len(two.calls())
    trial = run_trial(config, "kar_item", ["v1", "v2"], sample=10)

    assert 0 < kept < 20
    assert len(two.calls()) == 20
    assert None not in trial.texts("kar_item.v2")


def test_a_limit_that_the_first_calls_exceed_is_refused_before_they_are_paid_for(two):
    two.configure(options={"in_flight": 8})

    # The first 8 prompts of v1 have 4 words each, and each answer at least one token: 40.
    with pytest.raises(WrongUse, match="kar_item sends 8 calls before the first answer is counted: at least 40 tokens"):
        run_trial(load_config(two.config), "kar_item", ["v1"], sample=10, limits=Limits(max_tokens=39))

    assert two.calls() == []


def test_answers_are_read_as_a_refresh_reads_them(two):
    two.configure(rules={"Thing 1": "refused", "Thing 2": "empty", "Thing 3": "cut off"})

    trial = run_trial(load_config(two.config), "kar_item", ["v1"], sample=40)

    said = {
        row.variables["input"]: answer for row, answer in zip(trial.rows, trial.answers["kar_item.v1"], strict=True)
    }
    assert said["Thing 1"].error == "refused: the model will not"
    assert said["Thing 2"].error == "parse: the answer is empty"
    assert (said["Thing 3"].finish, said["Thing 3"].text, said["Thing 3"].error) == ("length", "A warm, well pac", None)
    assert (said["Thing 4"].fields, said["Thing 4"].input_tokens) == (said["Thing 4"].text, 4)


def test_a_row_that_is_too_long_for_one_version_shows_less_for_all(make_shop):
    shop = make_shop(
        users=2, events=5, engine={"name": "scripted:ScriptedEngine", "model": "scripted", "revision": "1"}
    )
    folder = shop.folder / "prompts"
    folder.mkdir()
    for version, text in ((1, "Short."), (2, "Long " * 40)):
        content = PROMPT.format(version=version, status="live", text=text).replace("kar_item", "kar_user")
        (folder / f"kar_user.v{version}.md").write_text(content)
    shop.configure(options={"context_tokens": 80})

    trial = run_trial(load_config(shop.config), "kar_user", ["v1", "v2"], sample=4)
    plan = plan_trial(load_config(shop.config), "kar_user", ["v1"], sample=4)

    # 40 words of instruction and 30 of answer leave 10 of 80: 3 events of 3 words each (`Thing 3: 4`).
    assert max(len(row.variables["input"].split("; ")) for row in trial.rows) == 3
    assert plan.sample.shortened == 0
    assert all(answer.error is None for answers in trial.answers.values() for answer in answers)


def test_an_engine_with_few_answers_draws_only_rows_that_all_versions_have(movielens):
    there = set(pl.read_parquet(movielens.folder / "recorded" / "items_v2.parquet")["item_id"].cast(pl.String))

    plan = plan_trial(load_config(movielens.config), "kar_item", ["v1", "v2"], sample=150)

    assert {row.row.entity for row in plan.sample.rows} == there
    assert plan.population.startswith("150 of 150 rows: of 3,227 rows, only these have an answer for every version")


def test_what_cannot_be_tried_is_said_in_words(two):
    config = load_config(two.config)

    with pytest.raises(WrongUse, match="'newest' is no version"):
        plan_trial(config, "kar_item", ["newest"])
    with pytest.raises(WrongUse, match=r"kar_item\.v9\.md"):
        plan_trial(config, "kar_item", ["v9"])
    with pytest.raises(WrongUse, match="asks no model"):
        plan_trial(config, "item_facts", ["v1"])
    with pytest.raises(WrongUse, match="no prices"):
        spending_of(type(config.prices)(), Limits(max_cost=1))
