"""In-context examples in the report: a real arm that shows some, its real page, and examples the guards allow."""

import re
from datetime import datetime

import polars as pl
import pytest

from app.config import load_config
from app.report import open_context
from app.report_examples import BEGIN, begin
from app.train_runs import get_run
from app.workplace import open_store
from ctr.examples import REPORTED
from feature_store.releases import get_release
from retrieval.example_search import open_examples

FACTS = {"examples", "k", "shortage_share", "similarity_mean", "days_back_median", "recall"}


@pytest.fixture(scope="module")
def context(examples_shop):
    run = get_run(examples_shop.folder / "runs")
    return open_context(load_config(examples_shop.config), run, run.read("result"))


def test_the_page_has_a_section_with_the_statistics_of_the_arm_and_three_samples(examples_shop, context):
    page = (examples_shop.folder / "runs" / "report.html").read_text()
    section = page[page.index('<section id="in-context"') : page.index('<section id="examples"')]

    assert set(context.in_context.arms) == {"llm-cf", "llm-cf-labels"}
    assert set(context.in_context.arms["llm-cf"]) >= FACTS
    assert context.in_context.arms["llm-cf"]["examples"] == 60
    assert context.in_context.cost["calls"] == 60
    assert section.count("<details") == REPORTED
    assert "The pool took 60 calls" in section
    assert re.search(r'<th scope="row">llm-cf</th><td data-label="Pool">60</td>', section)
    assert '<a href="#in-context">' in page


def test_shown_samples_are_test_rows_and_their_examples_are_earlier_training_rows(examples_shop, context):
    events = examples_shop.place().dataset.events
    answers = {row["text"] for row in examples_shop.lineage("cot_examples").values()}

    assert len(context.in_context.samples) == REPORTED
    for sample in context.in_context.samples:
        log = events.filter(pl.col("user") == sample["user"])
        (position,) = log.filter(pl.col("time") == sample["time"])["position"].unique()[:1]
        assert position >= int(0.9 * 16)
        assert [example["label"] for example in sample["examples"]] == [1, 1, 0, 0]
        assert sample["lacking"] == 0
        for example in sample["examples"]:
            assert example["time"] < sample["time"]
            assert any(text.startswith(example["text"].removesuffix(" …")) for text in answers)
            assert len(example["text"]) <= BEGIN + 2


def test_a_single_sample_is_shown_what_training_showed_it(examples_shop, context):
    run = get_run(examples_shop.folder / "runs")
    store, events = open_store(load_config(examples_shop.config)), examples_shop.place().dataset.events
    search = open_examples(store, get_release(store, run.read("run")["release"]), events)

    for noted in run.read("llm-cf")["shown"]["samples"]:
        found = search.examples_of(noted["user"], noted["item"], datetime.fromisoformat(noted["time"]))
        assert found.lacking == noted["lacking"]
        assert [(one["user"], one["item"], one["time"], one["label"]) for one in found.examples] == [
            (one["user"], one["item"], datetime.fromisoformat(one["time"]), one["label"]) for one in noted["examples"]
        ]
        # One query alone is multiplied in another order than many: ten roundings of float32, on some processors.
        assert [one["similarity"] for one in found.examples] == pytest.approx(
            [one["similarity"] for one in noted["examples"]], abs=1e-5
        )


def test_a_run_of_before_examples_were_noted_still_has_its_statistics(examples_shop, context):
    run = get_run(examples_shop.folder / "runs")
    result = run.read("result")
    older = {arm: {k: v for k, v in made.items() if k != "shown"} for arm, made in result["training"].items()}

    found = open_context(load_config(examples_shop.config), run, result | {"training": older}).in_context

    assert (found.arms, found.cost, found.samples) == (context.in_context.arms, context.in_context.cost, [])


def test_rows_about_events_have_rows_and_entities_and_no_share_of_samples(context):
    rows = {row["task"]: row for row in context.coverage}

    assert (rows["cot_examples"]["rows"], rows["cot_examples"]["entities"]) == (60, 60)
    assert {rows["cot_examples"][name] for name in ("all", "test", "cold")} == {None}
    assert rows["item_facts"]["all"] == 1.0


def test_a_run_without_such_an_arm_has_no_such_section(compared_shop):
    run = get_run(compared_shop.folder / "runs")

    assert open_context(load_config(compared_shop.config), run, run.read("result")).in_context is None
    assert "in-context" not in (compared_shop.folder / "runs" / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Heist films matter most.", "Heist films …"),  # `Heist films ma` is cut after its last whole word
        ("Heist films.", "Heist films."),
        ("Heistfilmsmattermost.", "Heistfilmsmatt …"),
    ],
)
def test_the_begin_of_a_text_is_whole_words(text, shown):
    assert begin(text, 14) == shown
