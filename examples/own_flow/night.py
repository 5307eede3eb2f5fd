"""A team's own nightly flow: what the model knows by refresh, joined to the team's rows, in the team's own model.

Run it: python examples/own_flow/night.py shop/knowflow.yaml rows.parquet features.parquet
The rows have user, item, time and clicked. It is deployed on a schedule like any other flow of yours.
"""

import sys

import numpy as np
import polars as pl
from prefect import flow, get_run_logger, task
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import knowflow as kf
from flows.refresh import refresh

VECTORS = "item_facts_lexical"
"""The feature that our model reads."""


@task
def add_features(config: str, release: str, rows: str, out: str) -> str:
    """Join to every row what the release knew strictly before it; return the file."""
    made = kf.open(config).features(pl.read_parquet(rows), release=release, columns=[VECTORS])
    made.write_parquet(out)
    return out


@task
def train_our_model(features: str) -> float:
    """Train on the first four fifths of the time, and return the AUC on the rest."""
    table = pl.read_parquet(features).drop_nulls(VECTORS).sort("time")
    known, clicked, cut = table[VECTORS].to_numpy(), table["clicked"].to_numpy(), len(table) * 4 // 5
    model = LogisticRegression(max_iter=1000).fit(known[:cut], clicked[:cut])
    return float(roc_auc_score(clicked[cut:], np.asarray(model.predict_proba(known[cut:]))[:, 1]))


@flow
def our_night(config: str, rows: str, out: str) -> float:
    """Refresh what is known, then train our own model with it."""
    release = refresh(config=config)  # a subflow: it is shown under this run, with its tasks
    auc = train_our_model(add_features(config, release, rows, out))
    get_run_logger().info("AUC %.4f with %s", auc, release)
    return auc


if __name__ == "__main__":
    our_night(*sys.argv[1:])
