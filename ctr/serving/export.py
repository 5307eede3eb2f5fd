"""Export a kept model: the network to ONNX, the trees as LightGBM writes them, and the arrays that both read."""

import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.faults import WrongUse
from ctr.adapters.catalogue import find_adapters
from ctr.adapters.protocol import Adapter
from ctr.backbones.gbdt import TrainedTrees
from ctr.backbones.protocol import choose_backbone
from ctr.controls import fed
from ctr.kept import Kept
from ctr.learners import BlendModel, Model, NetworkModel, Views, make_learner, reads_columns
from ctr.samples import Samples
from ctr.serving.bundle import ARRAYS, FACTS, NETWORK, TREES
from ctr.serving.live import Live, Served
from ctr.serving.pairs import LiveColumns, LiveModel, LiveNetwork, LivePairs
from ctr.serving.rows import UNKNOWN
from ctr.serving.tables import Tables, affinity_scale, live_tables
from ctr.views import View
from feature_store.vectors import Knowledge

OPSET = 20
TRIED = 3
"""Items of the example that the export is traced with; the number of items is free."""
NEEDED = ("onnx", "onnxscript", "onnxruntime")
"""Packages of the extra `serve`."""


def why_not(kept: Kept, plugins: Sequence[Path] = ()) -> list[str]:
    """Say why a model cannot be exported, one line each; empty if it can.

    Args:
        kept: The model.
        plugins: Folders of a team's own plug-ins.
    """
    adapters = find_adapters(plugins)
    found = [
        f"adapter {use.adapter} has no `serve`: what it reads of a pair cannot be split into user and item"
        for use in kept.arm.uses
        if getattr(adapters[use.adapter], "serve", None) is None
    ]
    if choose_backbone(kept.settings.backbone, plugins).past is not None:
        found.append(f"backbone {kept.settings.backbone} reads a longer past than a history")
    return found


def writable_folder(folder: Path) -> Path:
    """Return the whole path of a folder that an export may write or replace.

    Raises:
        WrongUse: It holds something other than a bundle, or is no folder.
    """
    whole = folder.resolve()
    file = next((one for one in (whole, *whole.parents) if one.exists() and not one.is_dir()), None)
    if file is not None:
        raise WrongUse(f"--out: {file} is a file, and a bundle is a folder\n  name a folder that is new or empty")
    if whole.is_dir() and not (whole / FACTS).is_file() and any(whole.iterdir()):
        what = f"{whole} holds files and no {FACTS}; an export would delete them"
        raise WrongUse(f"--out: {what}\n  name a folder that is new, is empty, or holds a bundle")
    return whole


def export_model(
    folder: Path,
    kept: Kept,
    knowledge: Mapping[str, Knowledge],
    samples: Samples,
    live: Live,
    facts: Mapping[str, Any],
    plugins: Sequence[Path] = (),
) -> dict[str, Any]:
    """Write a serving bundle, whole or not at all.

    Args:
        folder: Its folder: new, empty, or with a bundle, which is replaced.
        kept: The model.
        knowledge: Inputs of its arm, by `task/encoder` or `codes/NAME`.
        samples: In the model's frame, with the live rows.
        live: The live rows.
        facts: More facts for `bundle.json`: the release, the run, the live moment.
        plugins: Folders of a team's own plug-ins.

    Returns:
        What `bundle.json` holds.

    Raises:
        WrongUse: The model cannot be exported, or the folder holds something else.
    """
    folder = writable_folder(folder)
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        raise WrongUse(f"an export needs {', '.join(lacking)}\n  install the extra: pip install 'knowflow[serve]'")
    if found := why_not(kept, plugins):
        fix = "score in batches instead: knowflow score"
        raise WrongUse("\n".join([f"{kept.folder}: cannot be exported", *(f"  {one}" for one in found), f"  {fix}"]))
    served = _served(kept, knowledge, samples, live, plugins)
    views: Views = {place: _empty(one, len(samples.label)) for place, one in served.items()}
    model = make_learner(kept.arm, views, samples, kept.settings, plugins).read(kept.folder, kept.settings)
    networks, trees = _parts(model)
    form = choose_backbone(kept.settings.backbone, plugins).live
    parts = [LiveNetwork(one.model, form(one.model.backbone) if form else None) for one in networks]
    columns = [LiveColumns(reads_columns(kept.arm, views, plugins)) for _ in trees]
    pairs = LivePairs(affinity_scale(samples), {place: one.views for place, one in served.items()})
    tables = live_tables(samples, live, served, bool(trees))
    inputs = _inputs(tables)
    outputs = ["logits"] * len(parts) + ["columns"] * len(columns)
    about = {**facts, **_about(kept, samples), "outputs": outputs, "inputs": inputs}
    with _new_content(folder) as half:
        _write_network(half / NETWORK, LiveModel(pairs, [*parts, *columns]), _example(tables, inputs))
        for one in trees:
            one.booster.save_model(str(half / TREES))
        _write_arrays(half, tables, samples, about)
    return about


@contextmanager
def _new_content(folder: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of a folder at the end; after a failure all is as before."""
    half, old = (folder.with_name(f"{folder.name}.{os.getpid()}.{what}.half") for what in ("new", "old"))
    try:
        (half / ARRAYS).mkdir(parents=True)
        yield half
        if folder.exists():
            folder.replace(old)
        half.replace(folder)
    finally:
        if old.exists() and not folder.exists():
            old.replace(folder)
        for one in (half, old):
            shutil.rmtree(one, ignore_errors=True)


def _about(kept: Kept, samples: Samples) -> dict[str, Any]:
    """Say what a bundle holds."""
    ids = {"user": samples.user_ids, "item": samples.item_ids}
    return {
        "backbone": kept.settings.backbone,
        "adapters": [use.adapter for use in kept.arm.uses],
        "calibration": kept.calibration.model_dump() if kept.calibration else None,
        "users": len(samples.user_ids) - 1,
        "items": len(samples.item_ids) - 1,
        "unknown": {name: int(np.flatnonzero(of == UNKNOWN)[0]) for name, of in ids.items()},
    }


def _served(
    kept: Kept, knowledge: Mapping[str, Knowledge], samples: Samples, live: Live, plugins: Sequence[Path]
) -> dict[str, Served]:
    adapters, served = find_adapters(plugins), {}
    for place, use in enumerate(kept.arm.uses):
        adapter = adapters[use.adapter]
        assert isinstance(adapter, Adapter)  # `why_not` has found none of the others
        assert adapter.serve is not None
        vectors = fed(use, knowledge, kept.arm.disturbance)
        served[f"{place}_{use.adapter}"] = adapter.serve(vectors, samples, kept.settings.folds, live)
    return served


def _empty(served: Served, rows: int) -> dict[str, View]:
    """Return views of the right widths that hold nothing: a model is read with them, and scores by its inputs."""
    none = np.full(rows, -1, dtype=np.int64)
    return {name: View(np.zeros((0, width), dtype=np.float32), none) for name, width in served.widths.items()}


def _parts(model: Model) -> tuple[list[NetworkModel], list[TrainedTrees]]:
    models = model.models if isinstance(model, BlendModel) else (model,)
    networks = [one for one in models if isinstance(one, NetworkModel)]
    return networks, [one for one in models if isinstance(one, TrainedTrees)]


def _inputs(tables: Tables) -> dict[str, dict[str, str | None]]:
    """Return the source of every input: the rows by which it is gathered, and the array."""
    own = {"user": "user", "item": "item", "history": "history"}
    past = {name.replace("item.", "history.", 1): name for name in tables.history}
    sources = [
        *((name, by, None) for name, by in own.items()),
        *((name, "user", name) for name in tables.user if name != "history"),
        *((name, "item", name) for name in tables.item),
        *((name, "history", array) for name, array in past.items()),
    ]
    return {name: {"by": by, "array": array} for name, by, array in sources}


def _example(tables: Tables, inputs: Mapping[str, Mapping[str, str | None]]) -> dict[str, torch.Tensor]:
    """Gather the inputs of the first user and of the first items."""
    arrays = {**tables.user, **tables.item}
    history = arrays["history"][[0]].astype(np.int64)
    items = np.arange(TRIED) % len(arrays["item.shares"])
    rows = {"user": np.array([0]), "item": items, "history": history}
    return {
        name: torch.from_numpy(rows[str(of["by"])] if of["array"] is None else arrays[of["array"]][rows[str(of["by"])]])
        for name, of in inputs.items()
    }


def _write_network(file: Path, model: LiveModel, example: dict[str, torch.Tensor]) -> None:
    """Export to ONNX; the number of items is free."""
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they warn of packages and steps that nothing here needs
        logging.getLogger(name).setLevel(logging.ERROR)
    many = torch.export.Dim("items", min=1)
    free = {name: {0: many} if name.split(".")[0] == "item" else None for name in example}
    model.eval().requires_grad_(False)  # so that embeddings are read by plain operations (`ctr.lookup`)
    options = {"dynamo": True, "opset_version": OPSET, "input_names": list(example), "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own exporter
        program = torch.onnx.export(model, (), kwargs={"inputs": example}, dynamic_shapes={"inputs": free}, **options)
    assert program is not None  # because dynamo=True
    program.save(str(file))


def _write_arrays(folder: Path, tables: Tables, samples: Samples, facts: Mapping[str, Any]) -> None:
    for name, array in {**tables.user, **tables.item}.items():
        np.save(folder / ARRAYS / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    for name, ids in (("users", samples.user_ids), ("items", samples.item_ids)):
        (folder / f"{name}.json").write_text(json.dumps(ids.tolist(), ensure_ascii=False), encoding="utf-8")
    (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")
