"""Agents against a kept model: pages are what the model ranks first, and nothing they do reaches data or training."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.kept_models import open_model
from app.samples import open_samples
from app.simulation import pages_of, ranked_items, simulate_agents
from app.workplace import open_dataset
from base.faults import WrongUse


def test_agents_walk_through_what_a_kept_model_ranks_and_leave_the_data_alone(compared):
    answer = {"watch": [], "ratings": [], "satisfaction": 6, "feeling": "fine", "next": True}
    compared.configure(
        rules={"- Thing ": json.dumps(answer)},
        tasks={**compared.settings["tasks"], "agent4rec": {"agents": 3, "encoders": []}},
    )
    config = load_config(compared.config)
    with pytest.raises(WrongUse, match="there are no agents\n  make some: knowflow refresh --task agent4rec"):
        simulate_agents(config, "knowledge")
    compared.release("agent4rec")
    before, samples = open_dataset(config), open_samples(config)

    done = simulate_agents(config, "knowledge", page_size=4, most=2)

    assert (done["agents"], done["pages"]) == (3, 6)
    assert done["measures"]["exit_page"]["mean"] == 2.0
    file = Path(done["file"])
    assert file.parent == config.home_folder / "simulations"
    assert pl.read_parquet(file).columns[-1] == "synthetic"
    after = open_dataset(config)
    assert after.version == before.version
    np.testing.assert_array_equal(open_samples(config).label, samples.label)


def test_pages_are_the_items_that_the_model_scores_highest_among_those_the_user_never_had(compared_shop):
    config = load_config(compared_shop.config)
    dataset, model = open_dataset(config), open_model(config, "knowledge")

    pages = pages_of(ranked_items(config, model, dataset, ["u1", "u2"]), 4)

    had = set(dataset.events.filter(pl.col("user") == "u1")["item"])
    first = pages("u1", frozenset())
    second = pages("u1", frozenset(first))
    assert len(first) == len(second) == 4
    assert not {*first, *second} & had
    assert not set(first) & set(second)
    assert pages("u1", frozenset()) == first
    assert pages("nobody", frozenset()) == []
