"""Trees: columns with categories of their own, the same trees from a seed, a model that is kept as text."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from base.faults import WrongUse
from ctr.arms.base import BASE
from ctr.backbones.gbdt import Trees, columns_of
from ctr.compare import prepare_views
from ctr.config import TrainConfig, TreesConfig
from ctr.learners import make_learner
from ctr.views import View
from llm_tasks.pipeline.arm import Arm, Use

CONFIG = TrainConfig(backbone="gbdt", trees=TreesConfig(count=20, least_samples=10, leaves=7), seeds=(0, 1), search=())


def test_columns_are_statistics_numbers_categories_and_views(samples):
    view = View(np.float32([[7, 8]]), np.where(np.arange(len(samples.item)) % 2 == 0, 0, -1))

    columns = columns_of(samples, {"0_toy": {"v": view}})

    counted = samples.statistics.shape[1]
    np.testing.assert_array_equal(columns.values[:, :counted], samples.statistics)
    np.testing.assert_array_equal(columns.values[:, counted], samples.item_numbers[samples.item, 0])
    np.testing.assert_array_equal(columns.values[:, counted + 1 : -2], samples.item_categories[samples.item])
    assert columns.values[0, -2:].tolist() == [7, 8]
    assert np.isnan(columns.values[1, -2:]).all()
    assert columns.categories == ()  # some items have two genres


def test_a_field_of_one_value_an_item_is_one_column_of_codes(world):
    shares = np.float32([[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    samples = replace(world.bare([0, 0, 0], [0, 1, 2], [1, 2, 3]), item_categories=shares, category_spans=((0, 3),))

    columns = columns_of(samples, {})

    assert columns.values[:, 0].tolist() == [0, 2, -1]  # LightGBM takes -1 as unknown
    assert columns.categories == (0,)


def test_trees_learn_what_the_training_rows_hold_and_the_seed_decides_them(samples):
    learner = make_learner(BASE, {}, samples, CONFIG)
    rows = np.flatnonzero(samples.part == 0)

    one, same, other = (learner.train(samples.part, CONFIG, seed) for seed in (0, 0, 1))

    assert roc_auc_score(samples.label[rows], one.logits(rows)) > 0.75
    validation = np.flatnonzero(samples.part == 1)
    assert one.validation_auc == (roc_auc_score(samples.label[validation], one.logits(validation)),)
    np.testing.assert_array_equal(one.logits(rows), same.logits(rows))
    assert (one.logits(rows) != other.logits(rows)).any()
    assert one.parameters <= 20 * 7
    assert one.logits(rows[:0]).shape == (0,)


def test_labels_outside_the_training_rows_change_no_tree(samples):
    turned = replace(samples, label=np.where(samples.part == 0, samples.label, 1 - samples.label))
    rows = np.arange(len(samples.item))

    one, other = (make_learner(BASE, {}, of, CONFIG).train(samples.part, CONFIG, 0) for of in (samples, turned))

    np.testing.assert_array_equal(one.logits(rows), other.logits(rows))


@pytest.mark.parametrize("backbone", ["gbdt", "blend"])
def test_labels_at_or_after_a_cut_move_no_tree_and_no_bin(world, backbone):
    # Columns are statistics of labels; their bins would tell of later ones, if later rows had a part in them.
    dataset, config = world.dataset(), CONFIG.model_copy(update={"backbone": backbone, "batch_size": 64})
    before = world.samples_of(dataset)
    cut = np.sort(before.time)[len(before.time) // 2]
    part = np.where(before.time < cut, 0, 2).astype(np.int8)
    late = before.time >= cut
    events = dataset.events.with_columns(
        rating=np.where(late, 3 * before.rating, before.rating).astype(np.float32),
        label=np.where(late, 1 - before.label, before.label),
    )
    after = world.samples_of(replace(dataset, events=events))

    one, two = (make_learner(BASE, {}, of, config).train(part, config, 0) for of in (before, after))

    first = np.flatnonzero(before.time == before.time[late].min())
    later = np.flatnonzero(before.time > before.time[late].min())
    assert len(first) > 3
    np.testing.assert_array_equal(one.logits(first), two.logits(first))
    assert (one.logits(later) != two.logits(later)).any()  # which have seen the changed labels


def test_a_model_is_kept_as_lightgbm_s_own_text(samples):
    model = make_learner(BASE, {}, samples, CONFIG).train(samples.part, CONFIG, 0)

    read = lightgbm.Booster(model_str=model.booster.model_to_string())

    rows = np.arange(20)
    np.testing.assert_array_equal(
        np.asarray(read.predict(model.columns.values[rows], raw_score=True)), model.logits(rows)
    )


def test_trees_read_what_adapters_prepared(world, samples):
    arm = Arm("toy", "", (Use("concat", ("kar_item/dense",)),))
    views = prepare_views(arm, {"kar_item/dense": world.knowledge(samples)}, samples, 3)

    learner = make_learner(arm, views, samples, CONFIG)

    assert isinstance(learner, Trees)
    assert learner.columns.values.shape[1] == columns_of(samples, {}).values.shape[1] + 5


def test_an_arm_that_learns_with_the_model_needs_a_network_beside_the_trees(world, samples):
    arm = Arm("kar", "", (Use("hybrid_experts", ("kar_user/dense", "kar_item/dense")),))
    known = {"kar_item/dense": world.knowledge(samples), "kar_user/dense": world.knowledge(samples, "user")}
    views = prepare_views(arm, known, samples, 3)

    with pytest.raises(WrongUse, match=r"(?s)arm kar: hybrid_experts learns.*train: \{backbone: blend\}"):
        make_learner(arm, views, samples, CONFIG)

    blend = CONFIG.model_copy(update={"backbone": "blend", "batch_size": 64, "embedding_dim": 4})
    network, trees = (model := make_learner(arm, views, samples, blend).train(samples.part, blend, 0)).models
    rows = np.arange(30)
    np.testing.assert_allclose(model.logits(rows), (network.logits(rows) + trees.logits(rows)) / 2)
    assert model.parameters == network.parameters + trees.parameters
