"""Exports read by the real Feast, RecBole and FuxiCTR, each in an environment of its own: `make test-libraries`."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.exporting import export_release
from app.feature_choice import FeatureChoice
from app.features import features_of
from app.workplace import open_store
from feature_store.releases import get_release, released_knowledge
from tests.conftest import HELPERS
from tests.environments import run

START = datetime(2024, 1, 1, tzinfo=UTC)
PACKAGES = {
    "feast": ("feast==0.67.0",),
    "recbole": ("recbole==1.2.1", "torch==2.13.0", "numpy<2", "pandas<2.3", "setuptools<80"),
    "fuxictr": ("fuxictr==2.3.10", "torch==2.13.0", "setuptools<80"),
}
"""RecBole 1.2.1 does not run with NumPy 2; torch has the project's version, whose wheel is there already."""
MINUTES = "installs the library into an environment of its own: one to ten minutes"
pytestmark = [pytest.mark.libraries(reason=MINUTES), pytest.mark.slow(reason=MINUTES)]


@pytest.fixture(scope="module")
def released(shop_builder, tmp_path_factory):
    shop = shop_builder(tmp_path_factory.mktemp("elsewhere") / "shop")
    shop.release("kar_item", "kar_user")
    return shop


@pytest.fixture
def config(released):
    return load_config(released.config)


def newest(config, task: str) -> dict[str, list[float]]:
    known = released_knowledge(open_store(config), get_release(open_store(config)), task, "lexical")
    order = np.argsort(known.as_of, kind="stable")
    return dict(zip(known.entities[order].tolist(), known.vectors[order].tolist(), strict=True))


@pytest.mark.timeout(1_800)
def test_feast_applies_the_repository_and_reads_equal_values(config, python_with, tmp_path):
    python, names = python_with("feast", *PACKAGES["feast"]), ("kar_item_lexical", "kar_user_lexical")
    choice = FeatureChoice(columns=names)
    moments = [START + half * timedelta(seconds=30) for half in range(-1, 12)]  # on every as_of, and between
    rows = pl.DataFrame({"user": "u1", "item": "i2", "event_timestamp": moments}).with_row_index("row")
    rows.write_parquet(tmp_path / "rows.parquet")

    export_release(config, "feast", tmp_path / "repo", choice=choice)
    run(python.with_name("feast"), "apply", cwd=tmp_path / "repo")
    run(
        python,
        HELPERS / "read_feast.py",
        tmp_path / "repo",
        tmp_path / "rows.parquet",
        tmp_path / "out.parquet",
        *names,
    )

    ours = features_of(config, rows.rename({"event_timestamp": "time"}), choice=choice)
    theirs = pl.read_parquet(tmp_path / "out.parquet").sort("row")
    kept = ours.filter(pl.col("row").is_in(theirs["row"].implode()))
    for name in names:
        assert theirs[name].to_list() == kept[name].to_list()
    dropped = ours.filter(~pl.col("row").is_in(theirs["row"].implode()))
    assert dropped["kar_user_lexical"].null_count() == len(dropped) > 0  # Feast keeps no row that knows nothing
    assert len(theirs) > 1


@pytest.mark.timeout(1_800)
def test_recbole_loads_the_log_and_the_vectors(config, released, python_with, tmp_path):
    python = python_with("recbole", *PACKAGES["recbole"])

    export_release(config, "recbole", tmp_path / "out")
    run(python, HELPERS / "read_recbole.py", tmp_path / "out", "shop", tmp_path / "found.json", cwd=tmp_path)

    found = json.loads((tmp_path / "found.json").read_text())
    assert found["events"] == len(released.events())
    for task in ("kar_item", "kar_user"):
        vectors = found["vectors"][f"{task}_lexical_id"]
        assert vectors.pop("[PAD]") == [0, 0, 0, 0]
        # RecBole reads the text as float64
        assert np.float32([*vectors.values()]).tolist() == [newest(config, task)[who] for who in vectors]
        assert vectors


@pytest.mark.timeout(1_800)
def test_a_model_of_fuxictr_embeds_ids_as_their_vectors(config, released, python_with, tmp_path):
    python = python_with("fuxictr", *PACKAGES["fuxictr"])
    log = pl.DataFrame(released.events(), schema=["user_id", "item_id", "time", "rating"], orient="row")
    log.select("user_id", "item_id", label=(pl.col("rating") >= 4).cast(pl.Float32)).write_parquet(
        tmp_path / "log.parquet"
    )

    export_release(config, "fuxictr", tmp_path / "out", choice=FeatureChoice(columns=("kar_*_lexical",)))
    script, found = HELPERS / "read_fuxictr.py", tmp_path / "found.json"
    run(python, script, tmp_path / "out", tmp_path / "log.parquet", tmp_path / "work", found, cwd=tmp_path)

    vectors = json.loads(found.read_text())
    for task in ("kar_item", "kar_user"):
        of_kind = vectors[f"{task.removeprefix('kar_')}_id"]
        assert of_kind == {who: newest(config, task)[who] for who in of_kind}
        assert len(of_kind) > 3
