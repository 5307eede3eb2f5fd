"""FuxiCTR: an archive per vectors, `kar_item_dense.npz`, that `pretrained_emb` of an id's feature takes.

Reads:     FuxiCTR 2.3: a feature of feature_cols with pretrained_emb, pretrain_dim, pretrain_usage (init, sum, concat).
Time:      the newest vector of each id; `--before` sets a moment, such as the end of the training data.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from app.exports.protocol import Exported, ExportFormat
from feature_store.entity_table import newest_rows


def write(exported: Exported, out: Path) -> Sequence[str]:
    """Write the archives, and the features that read them."""
    features = []
    for source, column, vectors in exported.vectors():
        rows, file = newest_rows(source), out / f"{column.name}.npz"
        np.savez(file, key=source.entities[rows].astype(str), value=vectors[rows])
        features.append(
            {
                "name": f"{source.entity}_id",
                "active": True,
                "dtype": "str",
                "type": "categorical",
                "pretrained_emb": str(file.resolve()),
                "pretrain_dim": vectors.shape[1],
                "pretrain_usage": "init",
                "freeze_emb": True,
            }
        )
    text = yaml.safe_dump({"feature_cols": features}, sort_keys=False)
    (out / "dataset_config.yaml").write_text(text, encoding="utf-8")
    return [f"copy the features you want from {out / 'dataset_config.yaml'}"]


FUXICTR = ExportFormat("fuxictr", "pretrained embeddings for pretrained_emb of FuxiCTR", write, ("user", "item"), True)
