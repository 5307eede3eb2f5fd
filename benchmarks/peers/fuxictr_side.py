"""FuxiCTR 2.3.10: DCNv2 and DIN from its own layers, loader and training loop, as its model zoo composes them.

`dcnv2` and `din` read one history, `dcnv2_pooled` the three that KnowFlow pools (all, liked, others), embedded by one
table. All statistics are one field of type `embedding`, which is faster than a field each.
"""

# pyright: reportMissingImports=false, reportArgumentType=false
# It runs in an environment of its own, which has these packages.
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import sides
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.layers import CrossNetV2, DIN_Attention, FeatureEmbedding, FeatureEmbeddingDict, MLP_Block
from fuxictr.pytorch.models import BaseModel
from fuxictr.pytorch.torch_utils import seed_everything
from sklearn.metrics import roc_auc_score

POOL = "layers.MaskedAveragePooling()"
KNOBS = {
    "gpu": -1,
    "optimizer": "adam",
    "loss": "binary_crossentropy",
    "metrics": ["AUC"],
    "verbose": 0,
    "early_stop_patience": 1,
}


class DCNv2(BaseModel):
    """Crosses in parallel with a perceptron."""

    def __init__(self, feature_map: FeatureMap, rate: float) -> None:
        super().__init__(feature_map, model_root=tempfile.mkdtemp(dir="."), **KNOBS)
        size = feature_map.sum_emb_out_dim()
        self.embedding_layer = FeatureEmbedding(feature_map, sides.WIDTH)
        self.crossnet = CrossNetV2(size, sides.CROSSES)
        self.dnn = MLP_Block(size, hidden_units=list(sides.HIDDEN), hidden_activations="ReLU")
        self.fc = torch.nn.Linear(size + sides.HIDDEN[-1], 1)
        finish(self, rate)

    def forward(self, inputs: dict) -> dict:
        """Score a batch."""
        start = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
        both = torch.cat([self.crossnet(start), self.dnn(start)], dim=-1)
        return {"y_pred": self.output_activation(self.fc(both))}


class DIN(BaseModel):
    """Attention from the target to the history."""

    def __init__(self, feature_map: FeatureMap, rate: float) -> None:
        super().__init__(feature_map, model_root=tempfile.mkdtemp(dir="."), **KNOBS)
        self.embedding_layer = FeatureEmbeddingDict(feature_map, sides.WIDTH)
        self.attention = DIN_Attention(sides.WIDTH, attention_units=[sides.ATTENTION])
        size = feature_map.sum_emb_out_dim()
        self.dnn = MLP_Block(size, output_dim=1, hidden_units=list(sides.HIDDEN), hidden_activations="ReLU")
        finish(self, rate)

    def forward(self, inputs: dict) -> dict:
        """Score a batch."""
        values = self.get_inputs(inputs)
        found = self.embedding_layer(values)
        found["history"] = self.attention(found["item"], found["history"], values["history"].long() != 0)
        return {"y_pred": self.output_activation(self.dnn(self.embedding_layer.dict2tensor(found, flatten_emb=True)))}


def finish(model: BaseModel, rate: float) -> None:
    """Do what every model of FuxiCTR does last."""
    Path(model.model_dir).mkdir(parents=True)
    model.compile(KNOBS["optimizer"], KNOBS["loss"], rate)
    model.reset_parameters()
    model.model_to_device()


def feature_map_of(rows: sides.Rows, model: str) -> FeatureMap:
    """Describe the fields."""
    found = FeatureMap("rows", ".")
    found.default_emb_dim, found.labels = sides.WIDTH, ["label"]
    items, dense = int(rows["items"]) + 1, rows["dense"].shape[1]
    pooled = {} if model == "din" else {"feature_encoder": POOL}
    histories = ["history", "liked", "others"] if model == "dcnv2_pooled" else ["history"]
    past = {"type": "sequence", "vocab_size": items, "padding_idx": 0, "share_embedding": "item", **pooled}
    found.features = {
        "user": {"type": "categorical", "vocab_size": int(rows["users"])},
        "item": {"type": "categorical", "vocab_size": items, "padding_idx": 0},
        "genres": {
            "type": "sequence",
            "vocab_size": int(rows["genres"].max()) + 1,
            "padding_idx": 0,
            "max_len": rows["genres"].shape[1],
            "feature_encoder": POOL,
        },
        "dense": {"type": "embedding", "pretrain_dim": dense, "embedding_dim": dense},
        **{name: {**past, "max_len": rows["history"].shape[1]} for name in histories},
    }
    found.num_fields = len(found.features)
    found.set_column_index()
    return found


def loaders(rows: sides.Rows, features: FeatureMap) -> dict:
    """Write its files, and open its loaders on them."""
    for name, chosen in sides.parts(rows).items():
        np.savez(f"{name}.npz", **{column: rows[column][chosen] for column in [*features.features, "label"]})
    files = {"train_data": "train.npz", "valid_data": "validation.npz", "test_data": "test.npz"}
    opened = RankDataLoader(features, stage="both", batch_size=sides.BATCH, num_workers=0, **files)
    return dict(zip(("train", "validation", "test"), opened, strict=True))


def fit(rows: sides.Rows, name: str, rate: float, seed: int) -> sides.Trained:
    """Train with early stopping by validation AUC."""
    seed_everything(seed)
    features = feature_map_of(rows, name)
    opened = loaders(rows, features)
    model = (DIN if name == "din" else DCNv2)(features, rate)
    model.fit(opened["train"], epochs=sides.EPOCHS, validation_data=opened["validation"])
    label = rows["label"][sides.parts(rows)["validation"]]
    auc = roc_auc_score(label, model.predict(opened["validation"]))
    return sides.Trained(float(auc), lambda: model.predict(opened["test"]))


def speed(rows: sides.Rows, name: str) -> float:
    """Train one epoch, without its evaluation."""
    seed_everything(0)
    features = feature_map_of(rows, name)
    loader = loaders(rows, features)["train"]
    model = (DIN if name == "din" else DCNv2)(features, 1e-3)
    model._max_gradient_norm, model._eval_steps, model._total_steps, model._stop_training = 10.0, 10**9, 0, False
    begun = time.process_time()
    model.train_epoch(loader)
    return int((rows["part"] == 0).sum()) / (time.process_time() - begun)


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    sides.run(fit, speed)
