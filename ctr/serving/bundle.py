"""A serving bundle: answers requests with NumPy and ONNX Runtime alone, without the log, the store or torch.

A folder with `model.onnx`, `trees.txt` (LightGBM's own text format) where there are trees, `arrays/*.npy` with one row
per user or item, `users.json` and `items.json` with their ids in the order of the rows, and `bundle.json`. Nothing is
pickled.
Arrays are memory-mapped: processes on one machine share them, and opening a bundle reads little.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FACTS, NETWORK, TREES, ARRAYS = "bundle.json", "model.onnx", "trees.txt", "arrays"


@dataclass(frozen=True)
class Bundle:
    """An open bundle. It never changes, so that threads can share it and a newer one can take its place."""

    facts: Mapping[str, Any]
    """What `bundle.json` holds: release, model, arm, live moment, rows and inputs."""
    users: Mapping[str, int]
    """The row of each user."""
    items: Mapping[str, int]
    """The row of each item."""
    arrays: Mapping[str, np.ndarray]
    """The arrays, by name."""
    network: Any
    """An `onnxruntime.InferenceSession`."""
    trees: Any
    """A `lightgbm.Booster`; None without trees."""
    calibration: Any
    """A `ctr.calibration.Calibration`; None without one."""

    @property
    def release(self) -> str:
        """Return the release whose vectors it holds."""
        return self.facts["release"]

    def score(self, user: str, items: Sequence[str]) -> np.ndarray:
        """Score items for one user, live: after everything that the log and the release held.

        Args:
            user: Its id; an unknown one is scored as somebody without events.
            items: Their ids; unknown ones are scored as items of which nothing is known.

        Returns:
            [n] float32: probabilities of a click.
        """
        unknown = self.facts["unknown"]
        chosen = np.array([self.items.get(item, unknown["item"]) for item in items], dtype=np.int64)
        return self.score_rows(self.users.get(user, unknown["user"]), chosen)

    def score_rows(self, user: int, items: np.ndarray) -> np.ndarray:
        """Score items by their rows: [n] int64 -> [n] float32."""
        if not len(items):
            return np.zeros(0, dtype=np.float32)
        found = self.network.run(None, self.inputs(user, items))
        logits = [made for made, kind in zip(found, self.facts["outputs"], strict=True) if kind == "logits"]
        columns = [made for made, kind in zip(found, self.facts["outputs"], strict=True) if kind == "columns"]
        logits += [self.trees.predict(one, raw_score=True, num_threads=1) for one in columns]
        logit = np.mean(logits, axis=0, dtype=np.float64)
        logit = logit if self.calibration is None else self.calibration.apply(logit)
        return (1 / (1 + np.exp(-logit))).astype(np.float32)

    def inputs(self, user: int, items: np.ndarray) -> dict[str, np.ndarray]:
        """Gather what the network reads of a user and of items, by the name of the input."""
        rows = {"user": np.array([user]), "item": items, "history": self.arrays["history"][[user]].astype(np.int64)}
        gathered: dict[str, np.ndarray] = {}
        for name, source in self.facts["inputs"].items():
            by = rows[source["by"]]
            gathered[name] = by if source["array"] is None else self.arrays[source["array"]][by]
        return gathered


def open_bundle(folder: Path, threads: int = 1) -> Bundle:
    """Open a bundle.

    Args:
        folder: Where `knowflow export-model` wrote it.
        threads: Threads that answer one request; more than one rarely pays.

    Raises:
        FileNotFoundError: There is none.
    """
    import onnxruntime  # noqa: PLC0415 - of the extra `serve`

    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    ids = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("users", "items")}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    trees, calibration = None, None
    if (folder / TREES).is_file():
        import lightgbm  # noqa: PLC0415 - only where there are trees

        trees = lightgbm.Booster(model_file=str(folder / TREES))
    if facts["calibration"]:
        from ctr.calibration import CALIBRATION  # noqa: PLC0415 - only where there is one: it imports scikit-learn

        calibration = CALIBRATION.validate_python(facts["calibration"])
    return Bundle(
        facts=facts,
        users={name: row for row, name in enumerate(ids["users"])},
        items={name: row for row, name in enumerate(ids["items"])},
        arrays={path.stem: np.asarray(np.load(path, mmap_mode="r")) for path in (folder / ARRAYS).glob("*.npy")},
        network=onnxruntime.InferenceSession(str(folder / NETWORK), options, providers=["CPUExecutionProvider"]),
        trees=trees,
        calibration=calibration,
    )
