"""Kept models: what is loaded scores as what was trained, on the rows of the run and on a log that went on."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from base.faults import WrongUse
from ctr.compare import train_arm
from ctr.config import TrainConfig, TreesConfig
from ctr.kept import keep, open_kept, score_rows
from ctr.samples import build_samples
from llm_tasks.pipeline.arm import Arm, Use
from sources.events import PARTS, histories

CONFIG = TrainConfig(
    search=(), batch_size=64, embedding_dim=4, folds=3, seeds=(3, 5), trees=TreesConfig(count=12, leaves=4)
)
LIKENESS = Arm("likeness", "", (Use("similarity", ("kar_item/dense",)), Use("quality", ("kar_item/dense",))))
EXPERTS = Arm("experts", "", (Use("hybrid_experts", ("kar_user/dense", "kar_item/dense")),))
FAR_LATER = pl.duration(days=90)


@pytest.fixture(scope="module")
def known(world, samples):
    return {"kar_item/dense": world.knowledge(samples), "kar_user/dense": world.knowledge(samples, "user")}


def kept_model(folder, arm, backbone, samples, known):
    """Train and keep; gives the training's result and the opened model."""
    result = train_arm(arm, known, samples, CONFIG.model_copy(update={"backbone": backbone}))
    keep(folder, arm, result.best, samples, "release-1")
    return result, open_kept(folder)


def went_on(world):
    """The made log, 90 days later one more event of u00 with an item nobody knew, and one of a user nobody knew."""
    dataset = world.dataset()
    last = dataset.events.tail(2).with_columns(
        time=pl.col("time") + FAR_LATER, user=pl.Series(["u00", "somebody"]), item=pl.Series(["new", "i01"])
    )
    new = pl.DataFrame(
        [{"item": "new", "title": "New", "genres": ["unheard of"], "year": 2030.0}], schema=dataset.items.schema
    )
    items = pl.concat([new, dataset.items])  # before all others: no code may shift
    return replace(dataset, events=pl.concat([dataset.events, last]), items=items)


@pytest.mark.parametrize(
    ("arm", "backbone", "files"),
    [
        (LIKENESS, "dcnv2", {"network.safetensors"}),
        (LIKENESS, "hstu", {"network.safetensors"}),
        (LIKENESS, "gbdt", {"trees.txt"}),
        (LIKENESS, "blend", {"network.safetensors", "trees.txt"}),
        (EXPERTS, "blend", {"network.safetensors", "trees.txt"}),
    ],
)
def test_a_kept_model_scores_as_its_run_did_by_its_best_seed(tmp_path, samples, known, arm, backbone, files):
    result, kept = kept_model(tmp_path / "models" / arm.name, arm, backbone, samples, known)
    test = np.flatnonzero(samples.part == PARTS.index("test"))

    scores = score_rows(kept, known, samples, test)

    best = int(np.argmax([max(aucs) for aucs in result.validation_auc]))
    assert kept.seed == CONFIG.seeds[best]
    np.testing.assert_allclose(scores, result.test[best], atol=1e-6, rtol=0)
    assert np.abs(result.test[0] - result.test[1]).max() > 1e-3  # another seed would be seen
    assert {path.name for path in kept.folder.iterdir()} == files | {"model.json"}
    assert kept.metrics["validation_auc"] == max(result.validation_auc[best])


@pytest.mark.parametrize("backbone", ["dcnv2", "finalmlp", "sim", "hstu", "gbdt", "blend"])
def test_it_scores_new_rows_of_a_log_that_went_on_and_the_old_ones_as_before(tmp_path, world, samples, known, backbone):
    # Without `quality`: its moments of fitting move as the log grows.
    arm = replace(LIKENESS, uses=LIKENESS.uses[:1])
    _, kept = kept_model(tmp_path / "likeness", arm, backbone, samples, known)
    dataset = went_on(world)
    later = build_samples(dataset, histories(dataset.events, kept.history_length), kept.frame)
    rows = np.arange(len(samples.label))

    scores = score_rows(kept, known, later, np.arange(len(later.label)))

    np.testing.assert_allclose(scores[rows], score_rows(kept, known, samples, rows), atol=1e-6, rtol=0)
    assert ((scores[-2:] > 0) & (scores[-2:] < 1)).all()
    turned = dataset.events.with_columns(
        label=pl.when(pl.int_range(pl.len()) >= len(rows)).then(1 - pl.col("label")).otherwise("label"),
        rating=pl.when(pl.int_range(pl.len()) >= len(rows)).then(6 - pl.col("rating")).otherwise("rating"),
    )
    other = build_samples(replace(dataset, events=turned), histories(turned, kept.history_length), kept.frame)
    assert (other.label[-2:] != later.label[-2:]).all()
    np.testing.assert_array_equal(score_rows(kept, known, other, np.arange(len(scores)))[-2:], scores[-2:])


def test_the_facts_beside_a_model_say_what_it_reads(tmp_path, samples, known):
    _, kept = kept_model(tmp_path / "likeness", LIKENESS, "gbdt", samples, known)

    facts = json.loads((kept.folder / "model.json").read_text())

    assert kept.arm == LIKENESS
    assert (facts["release"], kept.release) == ("release-1", "release-1")
    assert facts["features"]["views"] == {"0_similarity": {"kar_item/dense": 5}, "1_quality": {"kar_item/dense": 1}}
    assert facts["frame"]["item_ids"] == samples.item_ids.tolist()
    assert list(kept.frame.category_values) == [("action", "comedy", "drama", "horror")]
    assert kept.settings == CONFIG.model_copy(update={"backbone": "gbdt"})


def test_a_model_refuses_rows_with_other_columns_and_a_folder_without_a_model(tmp_path, samples, known):
    fewer = replace(samples, statistics=samples.statistics[:, :-1])
    for backbone in ("dcnv2", "gbdt"):
        _, kept = kept_model(tmp_path / backbone, LIKENESS, backbone, samples, known)
        with pytest.raises(WrongUse, match=backbone):
            score_rows(kept, known, fewer, np.arange(3))
    with pytest.raises(WrongUse, match=r"there is no kept model\n  train again: knowflow train"):
        open_kept(tmp_path / "nowhere")
