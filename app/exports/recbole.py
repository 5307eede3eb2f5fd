"""RecBole: atomic files of the log, and files of pretrained vectors, `shop.itemvec` and `shop.uservec`.

Reads:     RecBole 1.2 with the config file written beside them.
           Where several vectors are about items, the files are `shop.itemvec_kar_item_dense` and so on.
Time:      the newest vector of each id; `--before` sets a moment, such as the end of the training data: RecBole itself
           has no as-of join.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from app.exports.protocol import Exported, ExportFormat
from feature_store.entity_table import newest_rows
from sources.tables import Dataset

IDS = {"user": "user_id", "item": "item_id"}
"""Kinds of entities -> the fields of RecBole that name them."""


def write(exported: Exported, out: Path) -> Sequence[str]:
    """Write the log, the vectors and the config."""
    folder = out / exported.project
    folder.mkdir()
    _write_log(exported.load_dataset(), folder / exported.project)
    aliases, weights = {"user": [], "item": []}, {}
    suffixes, loaded = [], {}
    several = Counter(source.entity for source, _, _ in exported.vectors())
    for source, column, vectors in exported.vectors():
        rows, key, values = newest_rows(source), f"{column.name}_id", f"{column.name}_vector"
        suffix = f"{source.entity}vec" + (f"_{column.name}" if several[source.entity] > 1 else "")
        _write_vectors(folder / f"{exported.project}.{suffix}", key, values, source.entities[rows], vectors[rows])
        suffixes.append(suffix)
        loaded[suffix] = [key, values]
        aliases[source.entity].append(key)
        weights[key] = values
    config = {
        "data_path": str(out.resolve()),
        "dataset": exported.project,
        "USER_ID_FIELD": IDS["user"],
        "ITEM_ID_FIELD": IDS["item"],
        "RATING_FIELD": "rating",
        "TIME_FIELD": "timestamp",
        "load_col": {"inter": [*IDS.values(), "rating", "label", "timestamp"], **loaded},
        "additional_feat_suffix": suffixes,
        "alias_of_user_id": aliases["user"] or None,
        "alias_of_item_id": aliases["item"] or None,
        "preload_weight": weights,
    }
    told = yaml.safe_dump({key: value for key, value in config.items() if value is not None}, sort_keys=False)
    (out / "recbole.yaml").write_text(told, encoding="utf-8")
    return [
        f'Config(model=..., dataset="{exported.project}", config_file_list=["{out / "recbole.yaml"}"])',
        *(f'dataset.get_preload_weight("{key}")' for key in weights),
    ]


def _write_log(dataset: Dataset, stem: Path) -> None:
    events = dataset.events.select(
        pl.col("user").alias("user_id:token"),
        pl.col("item").alias("item_id:token"),
        pl.coalesce("rating", "label").alias("rating:float"),
        pl.col("label").alias("label:float"),
        (pl.col("time").to_physical() / 1e6).alias("timestamp:float"),
    )
    _write_csv(events, stem.with_name(f"{stem.name}.inter"))


def _write_vectors(file: Path, key: str, values: str, ids: np.ndarray, vectors: np.ndarray) -> None:
    texts = [" ".join(f"{one:.9g}" for one in row) for row in vectors.tolist()]  # nine digits give a float32 back
    _write_csv(pl.DataFrame({f"{key}:token": pl.Series(ids, dtype=pl.String), f"{values}:float_seq": texts}), file)


def _write_csv(frame: pl.DataFrame, file: Path) -> None:
    frame.write_csv(file, separator="\t", quote_style="never")


RECBOLE = ExportFormat("recbole", "atomic files of the log, and pretrained vectors of RecBole", write, tuple(IDS), True)
