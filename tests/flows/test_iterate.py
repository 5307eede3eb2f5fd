"""The iterate flow: versions of a prompt are measured as the command does, and a bound that is not kept fails the run."""

from pathlib import Path

import pytest

from base.faults import CheckFailed
from feature_store.releases import list_releases
from flows.iterate import iterate

SHIPPED = Path(__file__).resolve().parents[2] / "prompts" / "kar" / "kar_item.v1.md"


@pytest.fixture
def two(make_shop, prefect_server):
    """A shop whose item prompt has a shipped live version, and a draft of the team's own."""
    shop = make_shop(items=30, users=6, events=12)
    (shop.folder / "prompts").mkdir()
    text = (
        SHIPPED.read_text(encoding="utf-8").replace("version: 1", "version: 9").replace("status: live", "status: draft")
    )
    (shop.folder / "prompts" / "kar_item.v9.md").write_text(text.replace("precisely", "briefly"), encoding="utf-8")
    return shop


def test_versions_are_measured_once_and_the_tables_are_an_artifact(two, prefect_has):
    page = iterate(config=str(two.config), technique="kar_item", versions=["v1", "v9"], sample=8)
    asked = len(two.calls())
    again = iterate(config=str(two.config), technique="kar_item", versions=["v1", "v9"], sample=8)

    assert (asked, len(two.calls())) == (16, 16)
    assert page == again
    assert "kar_item" in Path(page).read_text(encoding="utf-8")
    artifact = prefect_has(f"iterate kar_item {two.config}").artifacts["prompts-kar-item"]
    assert artifact.description == f"v1, v9: {page}"
    assert "| measure | v1 | v9 |" in artifact.data
    assert "parse" in artifact.data
    assert list_releases(two.place().store) == []


def test_a_bound_that_is_not_kept_fails_the_run_after_the_page_is_written(two):
    bounds = {"words": 1_000_000.0}
    with pytest.raises(CheckFailed, match=r"(?s)kar_item\.v9: words is .*see: .*\.html"):
        iterate(config=str(two.config), technique="kar_item", versions=["v1", "v9"], sample=8, fail_under=bounds)

    assert len(list((two.folder / "runs" / "prompts").glob("*.html"))) == 1


def test_a_measure_that_there_is_not_fails_the_run(two):
    with pytest.raises(Exception, match="wurdz"):
        iterate(config=str(two.config), technique="kar_item", versions=["v1"], sample=8, fail_under={"wurdz": 1.0})
