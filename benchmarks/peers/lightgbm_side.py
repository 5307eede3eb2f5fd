"""LightGBM: statistics, numbers and genres as columns; no ids. It tries learning rates of its own."""

import time

import lightgbm
import numpy as np
import sides
from sklearn.metrics import roc_auc_score

KNOBS = {
    "objective": "binary",
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "num_threads": 1,
    "verbosity": -1,
    "deterministic": True,
    "force_col_wise": True,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}
TREES = 300


def columns(rows: sides.Rows) -> np.ndarray:
    """One column a statistic, number and genre."""
    genres = np.zeros((len(rows["label"]), int(rows["genres"].max()) + 1), dtype=np.float32)
    np.put_along_axis(genres, rows["genres"].astype(np.int64), 1, axis=1)
    return np.concatenate([rows["dense"], genres[:, 1:]], axis=1)


def grow(rows: sides.Rows, rate: float, seed: int, stop: bool) -> lightgbm.Booster:
    """Grow trees, with early stopping by validation AUC."""
    values, part = columns(rows), sides.parts(rows)
    train, checked = (
        lightgbm.Dataset(values[part[of]], rows["label"][part[of]], params=KNOBS) for of in ("train", "validation")
    )
    knobs = {**KNOBS, "learning_rate": rate, "seed": seed, "metric": "auc"}
    calls = [lightgbm.early_stopping(20, verbose=False)] if stop else []
    return lightgbm.train(knobs, train, TREES, valid_sets=[checked] if stop else None, callbacks=calls)


def fit(rows: sides.Rows, name: str, rate: float, seed: int) -> sides.Trained:
    """Grow trees, and score."""
    booster, part, values = grow(rows, rate, seed, stop=True), sides.parts(rows), columns(rows)
    auc = roc_auc_score(rows["label"][part["validation"]], booster.predict(values[part["validation"]]))
    return sides.Trained(float(auc), lambda: np.asarray(booster.predict(values[part["test"]])))


def speed(rows: sides.Rows, name: str) -> float:
    """Grow all trees: samples over the CPU-seconds of the whole training."""
    begun = time.process_time()
    grow(rows, 0.05, 0, stop=False)
    return int((rows["part"] == 0).sum()) / (time.process_time() - begun)


if __name__ == "__main__":
    sides.run(fit, speed, rates=(0.03, 0.05, 0.1))
