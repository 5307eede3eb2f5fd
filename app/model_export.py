"""Exports a kept model with the features of a release, for a server that answers requests."""

import json
from pathlib import Path
from typing import Any

from app.config import Config
from app.forget_home import SERVED
from app.samples import read_vectors_of
from app.scoring import check_model
from app.workplace import open_dataset, open_store
from ctr.kept import Kept
from ctr.serving.bundle import FACTS
from ctr.serving.export import export_model, writable_folder
from ctr.serving.rows import live_samples
from feature_store.releases import COPY, get_release


def bundle_folder(home: Path, model: Kept, release: str) -> Path:
    """Return the folder of a model's serving bundle, one per release."""
    return home / SERVED / model.folder.parent.name / model.folder.name / release


def export_bundle(
    config: Config, model: Kept, release: str | None = None, out: Path | None = None, reuse: bool = False
) -> dict[str, Any]:
    """Write a serving bundle of a kept model: `ctr.serving.bundle.open_bundle` opens it.

    Args:
        config: The config.
        model: From `app.kept_models.find_model`.
        release: Name of the release whose vectors it holds; None for the current one.
        out: Its folder: new, empty, or with a bundle, which is replaced; None for the one of `bundle_folder`.
        reuse: Whether to keep a bundle of the same release and data that is there.

    Returns:
        What `bundle.json` holds, without the inputs; `folder`; and `releases`, a file that every publication writes.

    Raises:
        NoRelease: There is no such release.
        WrongUse: The model cannot be exported, the data or the release lack what it reads, or the folder holds
            something else.
    """
    out = writable_folder(out) if out is not None else None  # before minutes of work
    dataset, chosen = open_dataset(config), get_release(open_store(config), release)
    name = chosen.rolled_back_to or chosen.name  # a release that points to an older one holds the same
    folder = out or bundle_folder(config.home_folder, model, name)
    facts = {"release": name, "run": model.folder.parent.name, "arm": model.arm.name, "data": dataset.version}
    written = _there(folder) if reuse else None
    if written is None or any(written.get(key) != value for key, value in facts.items()):
        check_model(model, dataset, chosen, end="nothing was exported")
        vectors = read_vectors_of(config, chosen, [model.arm])
        samples, live = live_samples(dataset, model, vectors)
        facts["live"] = f"{samples.time[live.users[0]]}+00:00"
        written = export_model(folder, model, vectors, samples, live, facts, config.plugin_folders)
    told = {key: value for key, value in written.items() if key != "inputs"}
    return {**told, "folder": str(folder), "releases": str(config.store_folder / COPY)}


def _there(folder: Path) -> dict[str, Any] | None:
    file = folder / FACTS
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
