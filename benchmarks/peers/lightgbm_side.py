"""LightGBM: as many learning rates, of its usual range, and trees until the validation AUC stops rising.

`gbdt` reads statistics, numbers and genres as columns, which is how trees usually see ids and histories; `gbdt_ids`
reads user and item as categories, too. No tree reads the history itself.
"""

import time

import lightgbm
import numpy as np
import sides
from sklearn.metrics import roc_auc_score

KNOBS = {
    "objective": "binary",
    "metric": "auc",
    "num_threads": 1,
    "verbosity": -1,
    "deterministic": True,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}
"""Its defaults but for rows and columns drawn per tree, which is better on the validation rows here."""
TREES, PATIENCE = 1000, 50


def columns(rows: sides.Rows, name: str) -> np.ndarray:
    """One column a statistic, number and genre, then user and item if asked for."""
    genres = np.zeros((len(rows["label"]), int(rows["genres"].max()) + 1), dtype=np.float32)
    np.put_along_axis(genres, rows["genres"].astype(np.int64), 1, axis=1)
    ids = [rows["user"][:, None], rows["item"][:, None]] if name == "gbdt_ids" else []
    return np.concatenate([rows["dense"], genres[:, 1:], *ids], axis=1)


def grow(rows: sides.Rows, values: np.ndarray, name: str, rate: float, seed: int) -> lightgbm.Booster:
    """Grow trees, with early stopping by validation AUC."""
    part, width = sides.parts(rows), values.shape[1]
    categories = [width - 2, width - 1] if name == "gbdt_ids" else []
    train, checked = (
        lightgbm.Dataset(values[part[of]], rows["label"][part[of]], categorical_feature=categories)
        for of in ("train", "validation")
    )
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    knobs = {**KNOBS, "learning_rate": rate, "seed": seed}
    return lightgbm.train(knobs, train, TREES, valid_sets=[checked], callbacks=[stop])


def fit(rows: sides.Rows, name: str, rate: float, seed: int) -> sides.Trained:
    """Grow trees, and score."""
    part, values = sides.parts(rows), columns(rows, name)
    booster = grow(rows, values, name, rate, seed)
    auc = roc_auc_score(rows["label"][part["validation"]], booster.predict(values[part["validation"]]))
    return sides.Trained(float(auc), lambda: np.asarray(booster.predict(values[part["test"]])))


def speed(rows: sides.Rows, name: str) -> float:
    """Grow all trees: samples over the CPU-seconds of the whole training, which has no epochs."""
    values = columns(rows, name)
    begun = time.process_time()
    grow(rows, values, name, 0.05, 0)
    return int((rows["part"] == 0).sum()) / (time.process_time() - begun)


if __name__ == "__main__":
    sides.run(fit, speed, rates=(0.02, 0.03, 0.05, 0.1))
