"""Exported from a shop: the bundle scores as the pairs of a batch do, and is used again while nothing has changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.kept_models import find_model
from app.model_export import export_bundle
from app.scoring import score_pairs
from base.faults import WrongUse
from ctr.serving.bundle import open_bundle


def test_the_command_exports_what_scores_as_a_batch_of_live_pairs(compared_shop, plain_knowflow, tmp_path):
    words = ["export-model", "--model", "knowledge", "--out", tmp_path / "bundle", "--config", compared_shop.config]
    pairs = pl.DataFrame({"user": ["u1", "u1", "nobody"], "item": ["i3", "nothing", "i3"]})

    done = plain_knowflow.run(*words, "--json")

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["release"], facts["arm"], facts["users"], facts["items"]) == ("rel-000001", "knowledge", 40, 60)
    assert Path(facts["releases"]).is_file()
    bundle, config = open_bundle(Path(facts["folder"])), load_config(compared_shop.config)
    found = [bundle.score(user, [item])[0] for user, item in pairs.rows()]
    wanted = score_pairs(config, find_model(config, "knowledge"), pairs)["score"].to_numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
    assert [path.name for path in tmp_path.iterdir() if "half" in path.name] == []


def test_a_bundle_of_the_same_release_and_data_is_used_again(compared_shop, tmp_path):
    config = load_config(compared_shop.config)
    model, folder = find_model(config, "base"), tmp_path / "bundle"
    first = export_bundle(config, model, out=folder)
    written = (folder / "model.onnx").stat().st_mtime_ns

    again = export_bundle(config, model, out=folder, reuse=True)

    assert again == first
    assert (folder / "model.onnx").stat().st_mtime_ns == written
    export_bundle(config, model, out=folder)
    assert (folder / "model.onnx").stat().st_mtime_ns > written


def test_an_export_says_what_the_release_lacks(compared_shop, tmp_path):
    config = load_config(compared_shop.config)
    model = find_model(config, "knowledge")
    uses = tuple(replace(use, vectors=("kar_query/dense",)) for use in model.arm.uses)

    with pytest.raises(WrongUse, match=r"rel-000001: 1 fault, nothing was exported\n  lacks vectors kar_query/dense"):
        export_bundle(config, replace(model, arm=replace(model.arm, uses=uses)), out=tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_kept_and_the_export_refused(compared_shop, tmp_path):
    config = load_config(compared_shop.config)
    model, note = find_model(config, "base"), tmp_path / "note.txt"
    note.write_text("mine")

    for out in (tmp_path, tmp_path / "new" / ".."):
        with pytest.raises(WrongUse, match=f"--out: {tmp_path} holds files and no bundle.json.*\n  name a folder"):
            export_bundle(config, model, out=out)
    for out in (note, note / "bundle"):
        with pytest.raises(WrongUse, match=r"--out: .*note\.txt is a file"):
            export_bundle(config, model, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    assert note.read_text() == "mine"


def test_an_export_to_the_empty_folder_one_stands_in_works(compared_shop, tmp_path, monkeypatch):
    config, folder = load_config(compared_shop.config), tmp_path / "bundle"
    folder.mkdir()
    monkeypatch.chdir(folder)

    facts = export_bundle(config, find_model(config, "base"), out=Path())

    assert facts["folder"] == str(folder)
    assert open_bundle(folder).release == "rel-000001"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
