"""Kept models of a shop: every arm that was trained is there, and scores as its run did."""

import json

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.kept_models import open_model, score_events
from app.train_runs import get_run
from app.workplace import open_dataset
from base.faults import WrongUse


def test_every_trained_arm_of_a_run_is_kept_and_scores_as_the_run_did(compared_shop):
    config = load_config(compared_shop.config)
    dataset, run = open_dataset(config), get_run(config.home_folder)
    test = np.flatnonzero((dataset.events["part"] == "test").to_numpy())
    noted = run.read("run")
    trained = set(noted["trained"])

    for arm in sorted(trained):
        model = open_model(config, arm)
        scores = score_events(config, model, dataset, test)

        with np.load(run.folder / f"{arm}.npz") as scored:
            wanted = scored["test"][noted["train"]["seeds"].index(model.seed)]
        np.testing.assert_allclose(scores, wanted, atol=1e-6, rtol=0)
    assert {"base", "facts", "knowledge", "shuffled", "random"} <= trained
    assert {path.name for path in (config.home_folder / "models" / run.name).iterdir()} == trained


def test_a_later_event_of_a_new_user_is_scored_and_an_arm_that_learns_nothing_has_no_model(compared, plain_knowflow):
    later = (*compared.events(), ("somebody", "i3", pl.Series([row[2] for row in compared.events()]).max(), 4.0))
    compared.write_events(later)
    config = load_config(compared.config)

    scores = score_events(config, open_model(config, "knowledge"), open_dataset(config))

    assert len(scores) == len(later)
    assert ((scores > 0) & (scores < 1)).all()
    with pytest.raises(WrongUse, match="there is no kept model"):
        open_model(config, "constant")
    told = json.loads(plain_knowflow.run("status", "--config", compared.config, "--json").stdout)
    assert told["models"].endswith("models/train-000001")
