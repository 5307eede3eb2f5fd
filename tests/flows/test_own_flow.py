"""A team's own flow with KnowFlow's inside: that of the how-to page runs, and the same from Python stays in its server."""

import re
import runpy
from pathlib import Path

import polars as pl
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

import knowflow as kf

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-flow.md"


def children(parent):
    """Names of the flow runs that another one has started."""
    filters = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent]))
    with get_client(sync_client=True) as client:
        return [run.name.split()[0] for run in client.read_flow_runs(flow_run_filter=filters)]


def test_the_flow_of_the_page_refreshes_joins_features_and_trains_its_own_model(shop, prefect_server):
    shop.configure(tasks={"item_facts": {}})
    events = pl.read_parquet(shop.folder / "events.parquet")
    events.with_columns(clicked=pl.int_range(pl.len()) % 2).write_parquet(shop.folder / "rows.parquet")
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    (shop.folder / "night.py").write_text(code)
    our_night = runpy.run_path(str(shop.folder / "night.py"))["our_night"]

    state = our_night(
        config=str(shop.config),
        rows=str(shop.folder / "rows.parquet"),
        out=str(shop.folder / "features.parquet"),
        return_state=True,
    )

    assert 0 <= state.result() <= 1
    made = pl.read_parquet(shop.folder / "features.parquet")
    assert len(made) == len(events)
    assert made["item_facts_lexical"].null_count() == 0
    assert set(made["knowflow_release"]) == {"rel-000001"}
    assert children(state.state_details.flow_run_id) == ["refresh"]


def test_a_refresh_from_python_inside_a_flow_or_a_task_is_a_run_of_that_flow(shop, prefect_server):
    shop.configure(tasks={"item_facts": {}})

    @task
    def in_a_task():
        return kf.open(shop.config).refresh().name

    @flow
    def ours():
        return kf.open(shop.config).refresh().name, in_a_task()

    state = ours(return_state=True)

    assert state.result() == ("rel-000001", "rel-000001")
    assert children(state.state_details.flow_run_id) == ["refresh", "refresh"]
