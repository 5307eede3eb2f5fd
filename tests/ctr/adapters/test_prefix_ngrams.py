"""Prefix n-grams: a sum over prefixes that like items share, read strictly before each sample, disturbed as all arms are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from base.plugins import PluginFault
from ctr.adapters.prefix_ngrams import BUCKETS, PrefixNgrams, hash_prefixes, prepare
from ctr.compare import prepare_views, train_arm
from ctr.config import TrainConfig
from ctr.controls import choose_arms, controls_of, disturb
from ctr.kept import keep, open_kept, score_rows
from feature_store.codes import Codes, Made
from llm_tasks.pipeline.arm import Arm, Use
from sources.events import PARTS

FIRST = np.datetime64("1970-01-01", "us")
CODES = np.array([[3, 1, 0], [3, 1, 1], [3, 2, 0], [0, 1, 0]], dtype=np.int32)
ARM = Arm("by-codes", "A toy arm over codes.", (Use("prefix_ngrams", codes=("toy",)),))
CONFIG = TrainConfig(backbone="dcnv2", search=(), rolling=(), seeds=(0,), batch_size=64, embedding_dim=4, folds=3)


def second(count: int) -> np.datetime64:
    return FIRST + np.timedelta64(count, "s")


@pytest.fixture
def known(samples):
    """Hand-made codes of every item: the number of its first letters, itself."""
    count = len(samples.item_ids)
    codes = np.stack([np.arange(count) // 5, np.arange(count) % 5], axis=1).astype(np.int32)
    times = np.full(count, FIRST)
    return {"codes/toy": Codes(Made("toy", "f", {}), "item", samples.item_ids, times, codes).knowledge()}


def test_rows_share_the_buckets_of_the_prefixes_they_share_and_no_others():
    found = hash_prefixes(CODES, 2**40)

    assert len(np.unique(found[:, 0])) == 2
    assert (found[:3, 0] == found[0, 0]).all()
    assert found[0, 1] == found[1, 1] != found[2, 1]
    assert len(np.unique(found[:, 2])) == 4
    assert found[3, 1] not in found[:3, 1]  # the same second code under another first one
    assert np.array_equal(hash_prefixes(CODES, 2**40), found)
    many = np.stack([np.arange(10_000) // 40, np.arange(10_000) % 40], axis=1)
    met = len(np.unique(hash_prefixes(many, BUCKETS)[:, 1]))
    assert met > 0.99 * BUCKETS * (1 - np.exp(-10_000 / BUCKETS))  # at least as if thrown by chance


def test_the_module_sums_embeddings_and_has_a_learned_vector_where_nothing_is_known():
    module = PrefixNgrams({"codes/a": 2}, 4, 3)
    with torch.no_grad():
        module.missing[0].vector.fill_(7.0)
    buckets, there = torch.tensor([[1, 3], [0, 0]]), torch.tensor([True, False])

    out = module({"codes/a": (buckets, there)})

    table = module.tables[0].weight
    assert torch.allclose(out[0], table[1] + table[3])
    assert out[1].tolist() == [7, 7, 7]
    assert module.width == 3


def test_a_sample_reads_the_newest_codes_known_strictly_before_it(world):
    samples = world.bare([0, 0, 0, 0], [0, 0, 0, 1], [4, 5, 6, 9])
    made = Made("toy", "f", {}, second(4))  # whatever a row says, nothing was known before second 4
    codes = Codes(made, "item", np.array(["0", "0"]), np.array([FIRST, second(5)]), CODES[[0, 3]])

    view = prepare([codes.knowledge()], samples, 3)["codes/toy"]

    assert view.rows.tolist() == [-1, 0, 1, -1]
    assert view.table.dtype == np.int64
    with pytest.raises(PluginFault, match="reads codes, not vectors"):
        prepare([replace(codes.knowledge(), vectors=np.ones((2, 3), dtype=np.float32))], samples, 3)


def test_fourth_codes_are_not_read(world):
    samples = world.bare([0, 0], [0, 1], [4, 5])
    like = np.array([[3, 1, 0, 0], [3, 1, 0, 1]], dtype=np.int32)
    codes = Codes(Made("toy", "f", {}), "item", np.array(["0", "1"]), np.array([FIRST, FIRST]), like)

    table = prepare([codes.knowledge()], samples, 3)["codes/toy"].table

    assert table.shape == (2, 3)
    assert np.array_equal(table[0], table[1])


def test_shuffled_and_random_codes_follow_from_the_arm_and_stay_codes(known):
    names = [arm.name for arm in controls_of(ARM, {})]
    (one,) = known.values()
    shuffled, random = disturb(one, "shuffled"), disturb(one, "random")

    assert names == ["by-codes-shuffled", "by-codes-random"]
    assert sorted(shuffled.vectors.tolist()) == sorted(one.vectors.tolist())
    assert (shuffled.vectors != one.vectors).any()
    assert random.vectors.dtype == np.int32
    assert random.vectors.shape == one.vectors.shape
    assert (random.vectors >= 0).all()
    assert (random.vectors.max(axis=0) <= one.vectors.max(axis=0)).all()
    assert np.array_equal(disturb(one, "random").vectors, random.vectors)
    facts = controls_of(Arm("two", "", (Use("concat", ("kar_item/dense",), ("toy",)),)), {"kar_item": "item"})
    assert [arm.name for arm in facts] == ["two-shuffled", "two-random"]  # no facts without a model behind the codes


def test_an_arm_reads_vectors_first_and_a_set_that_is_named_twice_twice(known, samples):
    use = Use("prefix_ngrams", codes=("toy", "toy"))

    views = prepare_views(Arm("a", "", (use,)), known, samples, 3)["0_prefix_ngrams"]

    assert list(views) == ["codes/toy", "codes/toy#2"]
    assert Use("concat", ("kar_item/dense",), ("toy",)).reads == ("kar_item/dense", "codes/toy")
    assert Arm("a", "", (use, use)).codes == ("toy",)


def test_an_arm_over_codes_trains_and_is_kept(tmp_path, known, samples):
    result = train_arm(ARM, known, samples, CONFIG)
    shuffled = train_arm(replace(ARM, disturbance="shuffled"), known, samples, CONFIG)

    assert np.isfinite(result.test).all()
    assert (result.test != shuffled.test).any()
    keep(tmp_path / "kept", ARM, result.best, samples, "release-1")
    opened = open_kept(tmp_path / "kept")
    assert opened.arm == ARM
    rows = np.flatnonzero(samples.part == PARTS.index("test"))
    assert score_rows(opened, known, samples, rows) == pytest.approx(result.test[0], abs=1e-6)


TOY = """
from llm_tasks.pipeline.arm import Arm, Use
MINE = Arm("by-codes", "A toy arm over codes of a team's own.", (Use("prefix_ngrams", codes=("toy",)),))
"""


def test_a_team_s_arm_over_codes_is_found_with_its_controls(tmp_path):
    (tmp_path / "mine.py").write_text(TOY)
    arms = choose_arms(["by-codes", "by-codes-random"], {}, [tmp_path])

    assert [arm.codes for arm in arms] == [("toy",)] * 2
    assert [arm.disturbance for arm in arms] == ["none", "random"]
