"""The report flow: a page that needs nothing else, the numbers beside it, and a link to it."""

import json
import re

import polars as pl
import pytest

from app.config import load_config
from app.report import open_context, report_summary
from app.train_runs import get_run
from base.faults import WrongUse
from evals.report_caveats import CUTOFF_UNKNOWN, EARLIER_ONLY, SEEN_BEFORE
from evals.report_context import EXAMPLES
from feature_store.releases import get_release
from flows.refresh import refresh
from flows.report import report

pytestmark = pytest.mark.usefixtures("prefect_server")


def context_of(shop):
    run = get_run(shop.folder / "runs")
    return open_context(load_config(shop.config), run, run.read("result"))


def test_the_page_stands_alone_and_the_numbers_lie_beside_it(compared_shop):
    home = compared_shop.folder / "runs"
    page, numbers = (home / "report.html").read_text(), json.loads((home / "report.json").read_text())
    result = get_run(home).read("result")

    assert numbers == {**result, "train_run": "train-000001"}
    assert {"arms", "gains", "conclusion"} <= set(numbers)
    assert "<script" not in page
    links = re.findall(r"""(?:src|href|action)=["']?([^"'\s>]*)|url\(["']?([^"')]*)""", page)
    assert {first or second for first, second in links if not (first or second).startswith(("#", "data:"))} == set()
    assert "@import" not in page
    for arm, by_segment in result["arms"].items():
        assert arm in page
        assert f"{by_segment['all']['auc']['mean']:.4f}" in page


def test_prefect_shows_the_task_a_link_to_the_page_and_what_it_concludes(compared_shop, prefect_has):
    seen = prefect_has(f"report {compared_shop.config}")
    path = compared_shop.folder / "runs" / "report.html"
    concludes = get_run(path.parent).read("result")["conclusion"].splitlines()

    assert [task.name for task in seen.tasks] == ["write report"]
    assert seen.artifacts["report"].type == "markdown"
    assert seen.artifacts["report"].data.split("\n\n") == [
        f"[report.html]({path.as_uri()}) of train-000001",
        *concludes,
    ]
    assert str(path) in seen.artifacts["report"].description


def test_the_link_points_to_where_others_find_the_page(compared):
    compared.configure(reports_at="https://reports.example.com/shop/")

    text = report_summary(load_config(compared.config))

    assert text.startswith("[report.html](https://reports.example.com/shop/report.html) of train-000001\n\n")


def test_the_context_counts_what_the_release_rests_on(compared_shop):
    context = context_of(compared_shop)
    answers = compared_shop.place().store

    costs = {cost["task"]: cost for cost in context.costs}
    assert {task: (cost["rows"], cost["calls"], cost["cached"]) for task, cost in costs.items()} == {
        "item_facts": (60, 0, 0),
        "kar_item": (60, 60, 0),
        "kar_user": (80, 80, 0),
    }
    asked = {one["task"]: one for one in get_release(answers).facts["asked"]}
    for task, cost in costs.items():
        assert (cost["input_tokens"], cost["output_tokens"]) == (
            asked[task]["input_tokens"],
            asked[task]["output_tokens"],
        )
    assert {row["task"]: (row["rows"], row["entities"]) for row in context.coverage} == {
        "item_facts": (60, 60),
        "kar_item": (60, 60),
        "kar_user": (80, 40),
    }
    assert [example["task"] for example in context.examples] == ["kar_item"] * EXAMPLES + ["kar_user"] * EXAMPLES
    for example in context.examples:
        assert "Thing" in example["messages"][-1]["content"]
        assert example["answer"]
    assert context.caveats == [SEEN_BEFORE, CUTOFF_UNKNOWN, EARLIER_ONLY]
    assert (
        context.command
        == "knowflow train --config knowflow.yaml --release rel-000001\nknowflow report --config knowflow.yaml"
    )


def test_prices_are_those_of_today_and_changed_data_is_told(compared):
    compared.configure(prices={"input_per_million": 2.0, "output_per_million": 10.0, "currency": "EUR"})
    user, item, time, rating = compared.events()[-1]
    compared.write_events([*compared.events()[:-1], (user, item, time, 6.0 - rating)])
    run = get_run(compared.folder / "runs")
    noted = run.read("run")
    run.write("run", {**noted, "data_version": compared.place().dataset.version})

    context = context_of(compared)

    for cost in context.costs:
        assert cost["cost"] == pytest.approx((2 * cost["input_tokens"] + 10 * cost["output_tokens"]) / 1e6)
        assert cost["currency"] == "EUR"
    assert context.caveats[-1].startswith("The data has changed since the release was made")


def test_an_older_run_is_reported_by_name_also_after_newer_releases(compared):
    pl.read_parquet(compared.folder / "items.parquet").with_columns(
        title=pl.col("title").str.replace("Thing", "Gadget")
    ).write_parquet(compared.folder / "items.parquet")
    assert refresh(config=str(compared.config), tasks=["kar_item"]) == "rel-000002"

    path = report(config=str(compared.config), train_run="train-000001")

    page = (compared.folder / "runs" / "report.html").read_text()
    assert path == str(compared.folder / "runs" / "report.html")
    assert "rel-000001" in page
    assert "Thing 0" in page
    assert "Gadget" not in page


def test_a_run_that_is_not_there_or_not_done_is_told_and_the_old_report_stays(compared):
    home = compared.folder / "runs"
    before = (home / "report.html").read_bytes()
    (home / "train" / "train-000002").mkdir()

    with pytest.raises(WrongUse, match="there is no training run train-000007; the newest are train-000001"):
        report(config=str(compared.config), train_run="train-000007")
    with pytest.raises(WrongUse, match=r"train-000002: did not finish"):
        report(config=str(compared.config), train_run="train-000002")
    assert (home / "report.html").read_bytes() == before
    assert report(config=str(compared.config)) == str(home / "report.html")  # the newest finished one
