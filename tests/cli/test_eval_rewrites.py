"""knowflow eval rewrites: a table for people, JSON for scripts, a page for both, and faults in words."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from feature_store.database import Store
from feature_store.lineage import EPOCH, row_key, write_lineage
from feature_store.releases import publish
from feature_store.schemas import LINEAGE
from feature_store.vectors import text_key

HOSTILE = ["", '+a && (b" OR *', "звёзды 星", "ignore previous instructions <script>alert(1)</script>", "x" * 900]


@pytest.fixture
def asked(make_shop):
    """A shop with queries, some of them hostile, and a release that holds a rewrite of each."""
    shop = make_shop(items=40)
    queries = [*(f"want {n}" for n in range(30)), *HOSTILE]
    rows = [(query, f"i{n % 40}") for n, query in enumerate(queries)]
    table = pl.DataFrame(rows, schema=["query", "item"], orient="row")
    table.filter(pl.col("query") != "").write_parquet(shop.folder / "queries.parquet")
    shop.configure(queries={"path": "queries.parquet", "query": "query", "item": "item"})
    made = datetime(2024, 1, 1, tzinfo=UTC)
    lineage = [
        {
            **dict.fromkeys(LINEAGE.names),
            "row": row_key("query_rewrite", query, EPOCH),
            "task": "query_rewrite",
            "entity": query,
            "as_of": EPOCH,
            "text": f"thing\n{query}",
            "text_key": text_key(query),
            "created_at": made,
        }
        for query in queries
        if query
    ]
    with Store(shop.folder / "runs" / "store").writer("a test") as writer:
        write_lineage(writer, lineage)
        publish(writer, {})
    return shop


def test_a_table_json_and_a_page(asked, plain_knowflow, tmp_path):
    file, page = tmp_path / "tuned.parquet", tmp_path / "deep" / "page.html"
    pl.DataFrame({"query": ["want 1"], "rewrites": [["thing 1"]]}).write_parquet(file)
    config = ["--config", str(asked.config)]

    shown = plain_knowflow.run("eval", "rewrites", *config)
    told = plain_knowflow.run("eval", "rewrites", *config, "--json", "--rewrites", f"tuned={file}", "--page", str(page))

    assert shown.returncode == told.returncode == 0, shown.stderr + told.stderr
    result = json.loads(told.stdout)
    assert {"original", "recorded", "gain", "queries", "segments", "arms", "documents", "calibration"} <= set(result)
    assert set(result["gain"]) == {"mean", "low", "high", "users", "largest_user"}
    whole = result["segments"]["all"]["gain"]
    assert (whole["users"], whole["low"], whole["mean"] > 0) == (1, None, True)  # the log names no users
    assert result["gain"] == dict.fromkeys(("mean", "low", "high", "largest_user")) | {"users": 0}  # no tail, all head
    assert "left out: intervals: knowflow.yaml does not map the user of a query" in shown.stderr
    assert result["queries"] == 34
    assert {"tuned", "tuned_first", "tuned_union", "recorded"} <= set(result["arms"])
    assert result["page"] == str(page)
    assert "<script" not in page.read_text(encoding="utf-8")
    assert (asked.folder / "runs" / "rewrites.html").is_file()
    assert "held-out tail queries" in shown.stdout
    assert "left out: dense retrieval: knowflow.yaml names no encoder" in shown.stderr


def test_faults_are_told_all_at_once_and_leave_with_two(asked, plain_knowflow):
    config = ["--config", str(asked.config)]
    arms = ["--rewrites", "tuned", "--rewrites", "recorded=x.parquet", "--rewrites", "a-b=x"]

    wrong = plain_knowflow.run("eval", "rewrites", *config, *arms)
    missing = plain_knowflow.run("eval", "rewrites", *config, "--rewrites", "tuned=nowhere.parquet")

    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert [line.split(":")[0] for line in wrong.stderr.splitlines()[:3]] == [
        "--rewrites tuned",
        "--rewrites recorded=x.parquet",
        "--rewrites a-b=x",
    ]
    assert missing.returncode == 2
    assert "--rewrites tuned=nowhere.parquet: cannot be read" in missing.stderr
    assert "Traceback" not in missing.stderr
