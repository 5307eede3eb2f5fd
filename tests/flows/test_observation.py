"""How a generation run goes, as others see it: metrics in a file, a progress artifact, whoever watches."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.progress import reporting_to
from base.progress import silent
from flows.observation import write_metrics
from flows.refresh import refresh
from llm_tasks.pipeline.meter import Reading

READING = Reading("kar_item", 30, 120, {"refused": 2}, 6_000, 1_500, 900, 10.0, 0.25, "EUR")


def metrics(file) -> dict:
    """(name, labels) -> value, read by the client library's own parser."""
    families = text_string_to_metric_families(file.read_text())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_metrics_say_what_the_reading_says_in_prometheus_format(tmp_path):
    file = tmp_path / "metrics" / "run.prom"

    write_metrics(READING, file)

    assert metrics(file) == {
        ("knowflow_calls_total", "kar_item"): 30,
        ("knowflow_errors_total", "kar_item", "refused"): 2,
        ("knowflow_tokens_total", "input", "kar_item"): 6_000,
        ("knowflow_tokens_total", "cached", "kar_item"): 1_500,
        ("knowflow_tokens_total", "kar_item", "output"): 900,
        ("knowflow_cost_total", "EUR", "kar_item"): 0.25,
        ("knowflow_calls_planned", "kar_item"): 120,
        ("knowflow_run_seconds", "kar_item"): 10.0,
        ("knowflow_calls_per_second", "kar_item"): 3.0,
        ("knowflow_seconds_left", "kar_item"): 30.0,
    }


def test_a_second_reading_replaces_the_first_and_leaves_no_other_file(tmp_path):
    write_metrics(READING, tmp_path / "run.prom")
    write_metrics(Reading("kar_item", 120, 120, {}, 1, 0, 1, 1.0, 0.0, "EUR"), tmp_path / "run.prom")

    assert metrics(tmp_path / "run.prom")["knowflow_calls_total", "kar_item"] == 120
    assert [path.name for path in tmp_path.iterdir()] == ["run.prom"]


@pytest.mark.usefixtures("prefect_server")
def test_a_refresh_is_watched_measured_and_seen_by_prefect(shop, prefect_has):
    shop.configure(rules={"Thing 2": "refused"}, gates={"answered": 0.5})
    seen: list[Reading] = []

    with reporting_to(silent, seen.append):
        refresh(config=str(shop.config))

    whole = dict.fromkeys((last.task, last.done, last.total) for last in seen if last.done == last.total)
    assert list(whole) == [("kar_item", 12, 12), ("kar_user", 8, 8)]
    assert seen[0].errors == {"refused": 1}
    of_items = metrics(shop.folder / "runs" / "metrics" / "knowflow_kar_item.prom")
    assert of_items["knowflow_calls_total", "kar_item"] == 12
    assert of_items["knowflow_errors_total", "kar_item", "refused"] == 1
    artifacts = prefect_has(f"refresh {shop.config}").artifacts
    assert artifacts["asking-kar-item"].data == artifacts["asking-kar-user"].data == 100.0
    assert "errors: 1 refused" in artifacts["asking-kar-item"].description
    assert "rows/s" in artifacts["asking-kar-user"].description
