"""A log of positives only, from plan to report: that negatives are sampled is said wherever figures are."""

import json

import numpy as np
import pytest

from app.comparison import begin_run, end_run
from app.config import load_config
from app.report import write_report
from app.workplace import split_counts
from base.progress import silent
from cli.plan import plan

SENTENCE = (
    "egatives are sampled: 3 per positive, by popularity: figures hold for these samples, not for items that were "
    "really shown"
)


@pytest.fixture
def positives(make_shop):
    shop = make_shop(items=30, users=12, events=10)
    events = {name: value for name, value in shop.settings["events"].items() if name != "rating"}
    negatives = {"per_positive": 3, "by": "popularity"}
    shop.configure(events=events, label={"negatives": negatives}, train={"seeds": [0], "rolling": [0.6, 0.8]})
    return shop


def test_a_run_and_its_report_say_that_negatives_are_sampled(positives):
    positives.release("item_facts")
    config = load_config(positives.config)

    run = begin_run(config, ["constant"], None)
    result = end_run(run, silent)

    page = write_report(config, run.name)
    assert result["negatives"] == f"n{SENTENCE}"
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["negatives"] == f"n{SENTENCE}"
    assert f"N{SENTENCE}." in page.read_text(encoding="utf-8")
    with np.load(run.folder / "constant.npz") as scored:
        shares = scored["test"]
    train, _, test = split_counts(config)
    assert shares.shape == (1, test.rows)
    assert shares[0, 0] == pytest.approx(train.positives / train.rows)
    assert train.positives / train.rows == pytest.approx(0.25, abs=0.04)  # the first events have fewer negatives


def test_a_plan_counts_sampled_negatives_and_says_so(positives, capsys):
    plan(config=positives.config, json=True)

    told = json.loads(capsys.readouterr().out)
    events = 12 * 10
    rows = sum(one["rows"] for one in told["split"])
    assert sum(one["positives"] for one in told["split"]) == events
    assert 3.5 * events < rows < 4 * events
    assert f"n{SENTENCE}" in told["notes"]
    assert {one["task"]: one["rows"] for one in told["tasks"]}["kar_item"] == 30


def test_data_with_labels_of_its_own_says_nothing_of_negatives(compared_shop):
    report = json.loads((compared_shop.folder / "runs" / "report.json").read_text(encoding="utf-8"))

    assert report["negatives"] is None
