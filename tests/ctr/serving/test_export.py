"""Exported models: the bundle scores live pairs as the kept model scores them in batches."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from base.faults import WrongUse
from ctr.compare import train_arm
from ctr.config import TrainConfig, TreesConfig
from ctr.kept import ItemFields, keep, open_kept, score_rows
from ctr.pairs import pair_samples
from ctr.serving.bundle import open_bundle
from ctr.serving.export import export_model, why_not
from ctr.serving.rows import live_samples
from llm_tasks.pipeline.arm import Arm, Use

CONFIG = TrainConfig(
    search=(), batch_size=64, embedding_dim=4, folds=3, seeds=(3,), trees=TreesConfig(count=12, leaves=4)
)
BASE = Arm("base", "")
ITEMS, OTHERS, USERS = "kar_item/dense", "kar_item/lexical", "kar_user/dense"
EVERY = Arm(
    "every",
    "",
    (
        Use("similarity", (ITEMS, OTHERS)),
        Use("quality", (ITEMS,)),
        Use("taste", (ITEMS, OTHERS)),
        Use("concat", (USERS, ITEMS)),
        Use("hybrid_experts", (USERS, ITEMS)),
    ),
)
CODES = Arm("codes", "", (Use("prefix_ngrams", codes=("rqvae",)),))


@pytest.fixture(scope="module")
def known(world, samples):
    items = world.knowledge(samples)
    codes = np.random.default_rng(4).integers(0, 6, (len(items.entities), 3), dtype=np.int32)
    return {
        ITEMS: items,
        OTHERS: world.knowledge(samples, encoder="lexical"),
        USERS: world.knowledge(samples, "user"),
        "codes/rqvae": replace(items, task="codes", encoder="rqvae", vectors=codes),
    }


@pytest.fixture
def exported(tmp_path, world, samples, known):
    """Train, keep and export an arm; gives the kept model, its folder's bundle, and the log."""

    def make(arm, backbone, calibration=None):
        dataset, folder = world.dataset(), tmp_path / "models" / "run" / arm.name
        changes = {"backbone": backbone, "calibration": calibration}
        result = train_arm(arm, known, samples, CONFIG.model_copy(update=changes))
        keep(folder, arm, result.best, samples, "rel-000001", ItemFields.of(dataset))
        kept = open_kept(folder)
        there, live = live_samples(dataset, kept, known)
        export_model(tmp_path / "served", kept, known, there, live, {"release": "rel-000001"})
        return kept, open_bundle(tmp_path / "served"), dataset

    return make


def pairs_of(dataset):
    """Every user, one of them unknown, with every item, one of them unknown, live."""
    users = pl.DataFrame({"user": [*dataset.events["user"].unique().sort()[:9], "nobody"]})
    items = pl.DataFrame({"item": [*dataset.items["item"], "nothing"]})
    return users.join(items, how="cross", maintain_order="left").with_columns(
        time=pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    )


@pytest.mark.parametrize(
    ("arm", "backbone", "calibration"),
    [
        (BASE, "din", "isotonic"),
        *((BASE, backbone, None) for backbone in ("autoint", "deepfm", "finalmlp", "fm", "gdcn", "lr")),
        (EVERY, "blend", "platt"),
        (CODES, "dcnv2", None),
        (replace(EVERY, uses=EVERY.uses[:4], disturbance="shuffled"), "gbdt", None),
    ],
)
def test_a_bundle_scores_as_the_kept_model_does_in_batches(exported, known, arm, backbone, calibration):
    kept, bundle, dataset = exported(arm, backbone, calibration)
    pairs = pairs_of(dataset)
    samples = pair_samples(dataset, pairs, kept, known)
    wanted = score_rows(kept, known, samples, np.arange(len(samples.label) - len(pairs), len(samples.label)))

    found = [bundle.score(user, of["item"].to_list()) for (user,), of in pairs.group_by("user", maintain_order=True)]

    np.testing.assert_allclose(np.concatenate(found), wanted, atol=1e-5, rtol=0)
    assert wanted.std() > 1e-3
    assert bundle.score("u01", ["i03"]) == pytest.approx(bundle.score("u01", ["i05", "i03"])[1], abs=1e-6)
    assert bundle.score("u01", []).shape == (0,)


def test_a_bundle_holds_arrays_and_json_alone_and_says_what_it_is(exported):
    _, bundle, dataset = exported(BASE, "blend")

    facts = bundle.facts
    assert (facts["release"], facts["backbone"], facts["outputs"]) == ("rel-000001", "blend", ["logits", "columns"])
    assert (facts["users"], facts["items"]) == (len(bundle.users) - 1, len(bundle.items) - 1)
    assert facts["items"] == len(dataset.items)
    assert {array.dtype.kind for array in bundle.arrays.values()} <= set("fib")
    assert set(json.loads(json.dumps(facts["inputs"])).keys()) >= {"user", "item", "history", "item.shares"}


def test_what_cannot_be_exported_is_said_in_words(tmp_path, world, samples, known):
    arm = Arm("shown", "", (Use("in_context", ("cot_examples/dense", ITEMS)), Use("concat", (ITEMS,))))
    result = train_arm(BASE, known, samples, CONFIG)
    keep(tmp_path / "base", BASE, result.best, samples, "rel-000001")
    kept = open_kept(tmp_path / "base")

    assert why_not(kept) == []
    with pytest.raises(WrongUse, match=r"cannot be exported\n  adapter in_context has no `serve`.*\n.*knowflow score"):
        export_model(tmp_path / "out", replace(kept, arm=arm), known, *live_samples(world.dataset(), kept, known), {})
    long = kept.settings.model_copy(update={"backbone": "hstu"})
    assert why_not(replace(kept, settings=long)) == ["backbone hstu reads a longer past than a history"]


def test_a_failed_export_leaves_the_old_bundle_and_nothing_else(exported, tmp_path, world, known):
    kept, bundle, _ = exported(BASE, "lr")
    there, live = live_samples(world.dataset(), kept, known)

    with pytest.raises(TypeError, match="not JSON serializable"):  # at the end, when the rest is written
        export_model(tmp_path / "served", kept, known, there, live, {"release": object()})

    assert open_bundle(tmp_path / "served").release == bundle.release
    assert [path.name for path in tmp_path.iterdir() if "half" in path.name] == []
