"""RecBole 1.2.1: DCNv2 from its library, on its atomic files. DIN there takes sequences that RecBole makes itself.

`dcnv2` reads one history, `dcnv2_pooled` the three that KnowFlow pools. RecBole averages each, and embeds each with a
table of its own; it embeds every number as a field of its own, too, so that its network is wider than the others.
Dropout and the penalty on crosses are its defaults, without which it does worse on the validation rows.
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
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.context_aware_recommender.dcnv2 import DCNV2
from recbole.trainer import Trainer
from recbole.utils import init_seed

HEADER = {"user": "token", "item": "token", "label": "float"}


def lists_of(model: str) -> list[str]:
    """Return the fields that are lists."""
    return ["genres", "history", *(["liked", "others"] if model == "dcnv2_pooled" else [])]


def write(rows: sides.Rows, lists: list[str]) -> None:
    """Write the atomic files, one a part."""
    folder = Path("rows")
    folder.mkdir(exist_ok=True)
    dense = [f"d{place}" for place in range(rows["dense"].shape[1])]
    kinds = {**HEADER, **dict.fromkeys(lists, "token_seq"), **dict.fromkeys(dense, "float")}
    head = "\t".join(f"{name}:{kind}" for name, kind in kinds.items())
    for part, chosen in sides.parts(rows).items():
        lines = [head]
        for row in chosen:
            past = (" ".join(map(str, of[of > 0])) for of in (rows[name][row] for name in lists))
            flat = (*(rows[name][row] for name in HEADER), *past, *rows["dense"][row])
            lines.append("\t".join(map(str, flat)))
        (folder / f"rows.{part}.inter").write_text("\n".join(lines) + "\n")


def prepare(rows: sides.Rows, name: str, rate: float, seed: int) -> tuple:
    """Make its config, loaders and model."""
    lists = lists_of(name)
    if not Path("rows").exists():
        write(rows, lists)
    dense = [f"d{place}" for place in range(rows["dense"].shape[1])]
    knobs = {
        "data_path": ".",
        "benchmark_filename": ["train", "validation", "test"],
        "USER_ID_FIELD": "user",
        "ITEM_ID_FIELD": "item",
        "LABEL_FIELD": "label",
        "load_col": {"inter": [*HEADER, *lists, *dense]},
        "numerical_features": dense,
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": None, "mode": "labeled"},
        "metrics": ["AUC", "LogLoss"],
        "valid_metric": "AUC",
        "epochs": sides.EPOCHS,
        "stopping_step": 1,
        "train_batch_size": sides.BATCH,
        "eval_batch_size": 4096,
        "embedding_size": sides.WIDTH,
        "mlp_hidden_size": list(sides.HIDDEN),
        "cross_layer_num": sides.CROSSES,
        "mixed": False,
        "structure": "parallel",
        "learning_rate": rate,
        "seed": seed,
        "use_gpu": False,
        "show_progress": False,
        "worker": 0,
        "checkpoint_dir": tempfile.mkdtemp(dir="."),
    }
    config = Config(model=DCNV2, dataset="rows", config_dict=knobs)
    init_seed(seed, reproducibility=True)
    train, validation, test = data_preparation(config, create_dataset(config))
    model = DCNV2(config, train._dataset)
    return config, model, train, validation, test


def fit(rows: sides.Rows, name: str, rate: float, seed: int) -> sides.Trained:
    """Train with early stopping by validation AUC."""
    config, model, train, validation, test = prepare(rows, name, rate, seed)
    trainer = Trainer(config, model)
    auc, _ = trainer.fit(train, validation, verbose=False)
    # Its checkpoint holds more than tensors, which torch.load refuses by default since 2.6.
    model.load_state_dict(torch.load(trainer.saved_model_file, weights_only=False)["state_dict"])
    model.eval()

    def score() -> np.ndarray:
        with torch.no_grad():
            return np.concatenate([model.predict(batch[0]).numpy() for batch in test])

    return sides.Trained(float(auc), score)


def speed(rows: sides.Rows, name: str) -> float:
    """Train one epoch, without its evaluation."""
    config, model, train, _, _ = prepare(rows, name, 1e-3, 0)
    trainer = Trainer(config, model)
    begun = time.process_time()
    trainer._train_epoch(train, 0, show_progress=False)
    return int((rows["part"] == 0).sum()) / (time.process_time() - begun)


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    sides.run(fit, speed)
