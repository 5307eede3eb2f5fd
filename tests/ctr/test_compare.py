"""An arm from its vectors to its scores: one model a seed, the same numbers in every process."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from base.faults import WrongUse
from base.progress import silent
from ctr.batch import Batches
from ctr.compare import prepare_views, train_arm, until
from ctr.config import ExamplesConfig, TrainConfig, Trial
from ctr.controls import arms_of
from ctr.learners import make_model
from ctr.train import rows_of, score, train
from feature_store.lineage import VectorName
from feature_store.vectors import Knowledge
from llm_tasks.pipeline.arm import CODES, Arm, Use
from llm_tasks.pipeline.catalogue import find_tasks

CONFIG = TrainConfig(
    backbone="dcnv2",
    search=(),
    batch_size=64,
    epochs=2,
    fit_to_rows=False,
    patience=2,
    embedding_dim=4,
    folds=3,
    seeds=(0, 1),
)
ARMS = arms_of()
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import hashlib, runpy, torch
torch.set_num_threads(1)
from ctr.controls import arms_of
from ctr.compare import train_arm
from ctr.config import TrainConfig
world = runpy.run_path("tests/ctr/conftest.py")
samples = world["made_samples"]()
known = {f"{task}/{e}": world["made_knowledge"](samples, encoder=e, task=task, seed=len(task))
         for task in ("kar_item", "item_facts") for e in ("dense", "lexical")}
known["cot_examples/dense"] = world["made_examples"](samples)
config = TrainConfig(backbone="dcnv2", search=(), batch_size=64, epochs=2, fit_to_rows=False,
                     patience=2, embedding_dim=4, folds=3, seeds=(0, 1))
for name in ("knowledge", "llm-cf", "llm-cf-random"):
    print(hashlib.sha256(train_arm(arms_of()[name], known, samples, config).test.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def known(world, samples):
    vectors = {
        f"{task}/{encoder}": world.knowledge(samples, encoder=encoder, task=task, seed=len(task))
        for task in ("kar_item", "item_facts")
        for encoder in ("dense", "lexical")
    }
    return vectors | {
        "kar_user/dense": world.knowledge(samples, "user"),
        "cot_examples/dense": world.examples(samples),
        "note_embed/note": world.knowledge(samples, encoder="note", task="note_embed", seed=7),
    }


@pytest.fixture(scope="module")
def feed(world, samples, known):
    """Make what any arm reads: vectors about what its techniques are about, and codes of items."""

    def make(arm: Arm) -> dict[str, Knowledge]:
        fed = dict(known)
        for name in map(VectorName.read, arm.vectors):
            entity = find_tasks()[name.technique].entity
            made = world.knowledge(samples, entity, encoder=name.encoder, task=name.task, seed=len(name.task))
            fed.setdefault(str(name), made)
        for name in arm.codes:
            items = world.knowledge(samples, task="codes", encoder=name)
            codes = np.random.default_rng(5).integers(0, 4, (len(items.vectors), 3), dtype=np.int32)
            fed[f"{CODES}/{name}"] = replace(items, vectors=codes)
        return fed

    return make


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.learns])
def test_every_arm_trains_once_a_seed_and_scores_the_test_rows(name, samples, feed):
    told = []

    result = train_arm(ARMS[name], feed(ARMS[name]), samples, CONFIG, lambda *step: told.append(step))

    assert result.test.shape == (2, (samples.part == 2).sum())
    assert ((result.test > 0) & (result.test < 1)).all()
    assert (result.test[0] != result.test[1]).any()
    assert [len(aucs) for aucs in result.validation_auc] == [2, 2]
    assert told == [(f"training {name}", done, 2) for done in range(3)]
    assert result.samples_per_cpu_second > 0
    assert (result.retrieval is not None) == ("llm-cf" in name)


def test_scores_are_those_of_a_model_trained_by_hand_for_each_seed(samples, known):
    arm = ARMS["facts"]

    result = train_arm(arm, known, samples, CONFIG)

    views = prepare_views(arm, known, samples, 3)
    batches = Batches(samples, views)
    for place, seed in enumerate(CONFIG.seeds):
        run = train(make_model(arm, views, batches, samples, CONFIG, seed), batches, samples, CONFIG, seed, silent)
        np.testing.assert_array_equal(result.test[place], score(run.model, batches, rows_of(samples, "test")))
        assert result.parameters == sum(p.numel() for p in run.model.parameters())


def test_the_same_seed_gives_the_same_scores_in_this_process_and_in_a_fresh_one(samples, known):
    import hashlib

    fresh = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, check=True)

    for name, said in zip(("knowledge", "llm-cf", "llm-cf-random"), fresh.stdout.split(), strict=True):
        one, two = (train_arm(ARMS[name], known, samples, CONFIG).test for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert said == hashlib.sha256(one.tobytes()).hexdigest()


def test_ratings_of_test_rows_change_no_score_but_by_the_history_of_later_ones(world, known):
    dataset = world.dataset()
    before = world.samples_of(dataset)
    last = before.time == before.time.max()  # seen by no other
    events = dataset.events.with_columns(rating=np.where(last, 6 - before.rating, before.rating).astype(np.float32))
    after = world.samples_of(
        replace(dataset, events=events.with_columns(label=np.where(last, 1 - before.label, before.label)))
    )
    assert (after.label != before.label)[before.part == 2].sum() > 3
    assert not (after.label != before.label)[before.part != 2].any()

    scores = [train_arm(ARMS["knowledge"], known, samples, CONFIG).test for samples in (before, after)]

    np.testing.assert_array_equal(*scores)


def windows_of(samples, *shares):
    """Parts by time: first for choosing, then one cut a share."""
    times = np.sort(samples.time)
    cuts = [times[int(len(times) * share)] for share in (shares[0] - 0.2, *shares)]
    choosing = np.where(samples.time < cuts[0], 0, np.where(samples.time < cuts[1], 1, -1))
    ends = [*cuts[2:], times[-1] + np.timedelta64(1, "s")]
    parts = [
        np.where(samples.time < begin, 0, np.where(samples.time < end, 2, -1))
        for begin, end in zip(cuts[1:], ends, strict=True)
    ]
    return [part.astype(np.int8) for part in (choosing, *parts)]


def test_every_cut_is_scored_by_models_that_were_trained_before_it(samples, known):
    windows, told = windows_of(samples, 0.5, 0.8), []

    result = train_arm(ARMS["facts"], known, samples, CONFIG, lambda *step: told.append(step), windows)

    views = prepare_views(ARMS["facts"], known, samples, 3)
    batches, scored = Batches(samples, views), []
    for window in windows[1:]:
        part = replace(samples, part=window)
        runs = [
            train(make_model(ARMS["facts"], views, batches, part, CONFIG, seed), batches, part, CONFIG, seed, silent)
            for seed in CONFIG.seeds
        ]
        scored.append(np.stack([score(run.model, batches, rows_of(part, "test")) for run in runs]))
    np.testing.assert_array_equal(result.rolling, np.concatenate(scored, axis=1))
    assert result.rolling.shape == (2, (samples.time >= np.sort(samples.time)[len(samples.time) // 2]).sum())
    assert told[-1] == ("training facts", 6, 6)


def test_labels_at_or_after_a_cut_change_no_score_of_its_first_moment(world, known):
    # Model, statistics, quality, taste and the scale of each: all of them end before the cut.
    dataset = world.dataset()
    before = world.samples_of(dataset)
    windows = windows_of(before, 0.5, 0.8)
    late = before.time >= before.time[windows[1] == 2].min()
    events = dataset.events.with_columns(
        rating=np.where(late, before.rating + 2, before.rating).astype(np.float32),
        label=np.where(late, 1 - before.label, before.label),
    )
    after = world.samples_of(replace(dataset, events=events))
    tested = before.time[windows[1] == 2]

    one, two = (train_arm(ARMS["knowledge"], known, of, CONFIG, silent, windows).rolling for of in (before, after))

    first = np.flatnonzero(tested == tested.min())
    np.testing.assert_array_equal(one[:, first], two[:, first])
    assert (one != two).mean() > 0.5  # later rows have seen the changed labels


def test_an_arm_that_shows_examples_is_shown_those_before_each_cut_alone(samples, known):
    windows = windows_of(samples, 0.5, 0.8)

    result = train_arm(ARMS["llm-cf"], known, samples, CONFIG, silent, windows)

    assert ((result.rolling > 0) & (result.rolling < 1)).all()
    early = known["cot_examples/dense"].as_of < samples.time[windows[1] == 2].min()
    assert 0 < early.sum() < len(early)
    fewer = known | {"cot_examples/dense": until(known["cot_examples/dense"], samples.time[windows[1] == 0].max())}
    alone = train_arm(ARMS["llm-cf"], fewer, samples, CONFIG, silent, windows[:2])
    np.testing.assert_array_equal(result.rolling[:, : alone.rolling.shape[1]], alone.rolling)


def test_the_rate_and_epochs_that_validation_likes_best_are_kept(samples, known):
    trials = (Trial(learning_rate=1e-5), Trial(learning_rate=2e-2, epochs=2), Trial(learning_rate=1e-5, epochs=2))
    config = CONFIG.model_copy(update={"search": trials})

    result = train_arm(ARMS["base"], known, samples, config, silent, windows_of(samples, 0.5, 0.8))

    for protocol in ("split", "rolling"):
        tried = result.chosen[protocol]["tried"]
        best = max(tried, key=lambda one: one["validation_auc"])
        assert [(one["learning_rate"], one["epochs"]) for one in tried] == [(1e-5, 1), (2e-2, 2), (1e-5, 2)]
        assert (result.chosen[protocol]["learning_rate"], result.chosen[protocol]["epochs"]) == (2e-2, 2)
        assert best["learning_rate"] == 2e-2
    # Rolling time has no validation rows to stop by, so that a trial is judged by its last epoch.
    choosing = windows_of(samples, 0.5, 0.8)[0]
    part, trial = replace(samples, part=choosing), CONFIG.model_copy(update={"learning_rate": 2e-2, "epochs": 2})
    batches = Batches(samples, {})
    run = train(make_model(ARMS["base"], {}, batches, part, trial, 0), batches, part, trial, 0, silent)
    assert result.chosen["rolling"]["tried"][1]["validation_auc"] == pytest.approx(run.validation_auc[-1])
    by_hand = config.model_copy(update={"search": (), "learning_rate": 2e-2, "epochs": 2})
    np.testing.assert_array_equal(result.test, train_arm(ARMS["base"], known, samples, by_hand).test)


@pytest.mark.parametrize("protocol", ["split", "rolling"])
def test_test_labels_choose_no_setting(world, protocol):
    # Turned in the raw data and rebuilt: under the split those of the very last moments, in rolling time all from the
    # first cut on.
    config = CONFIG.model_copy(update={"search": (Trial(learning_rate=1e-3), Trial(learning_rate=2e-2))})
    dataset = world.dataset()
    before = world.samples_of(dataset)
    windows = windows_of(before, 0.5, 0.8)
    late = before.time >= (before.time.max() if protocol == "split" else before.time[windows[1] == 2].min())
    assert late.sum() > 3
    events = dataset.events.with_columns(
        rating=np.where(late, before.rating + 2, before.rating).astype(np.float32),
        label=np.where(late, 1 - before.label, before.label),
    )
    after = world.samples_of(replace(dataset, events=events))
    assert not ((after.label != before.label) & (before.part != 2)).any() or protocol == "rolling"

    one, two = (train_arm(ARMS["base"], {}, of, config, silent, windows) for of in (before, after))

    assert one.chosen[protocol] == two.chosen[protocol]


def test_the_constant_is_the_share_of_clicks_before(samples):
    windows = windows_of(samples, 0.5, 0.8)

    result = train_arm(ARMS["constant"], {}, samples, CONFIG, silent, windows)

    assert np.unique(result.test).tolist() == [samples.label[samples.part == 0].mean()]
    shares = [samples.label[window == 0].mean() for window in windows[1:]]
    counts = [(window == 2).sum() for window in windows[1:]]
    np.testing.assert_array_equal(result.rolling[1], np.repeat(np.float32(shares), counts))


def test_an_arm_prepares_a_view_for_each_use_in_order(samples, known):
    arm = Arm("two", "", (Use("concat", ("kar_item/dense",)), Use("concat", ("kar_user/dense",))))

    views = prepare_views(arm, known, samples, 3)

    assert {place: list(of_one) for place, of_one in views.items()} == {
        "0_concat": ["kar_item/dense"],
        "1_concat": ["kar_user/dense"],
    }


def test_a_disturbed_arm_sees_as_much_as_the_arm_it_comes_from(samples, known):
    views = {name: prepare_views(ARMS[name], known, samples, 3) for name in ("knowledge", "shuffled", "random")}

    for place, of_one in views["knowledge"].items():
        for name, view in of_one.items():
            for control in ("shuffled", "random"):
                np.testing.assert_array_equal(views[control][place][name].rows, view.rows)
                assert (views[control][place][name].table != view.table).any()


def test_vectors_that_do_not_fit_together_are_told_with_the_arm(world, samples, known):
    short = world.knowledge(samples, "user", encoder="lexical", width=3)
    arm = Arm("mine", "", (Use("hybrid_experts", ("kar_user/lexical", "kar_item/dense")),))

    with pytest.raises(WrongUse) as caught:
        train_arm(arm, known | {"kar_user/lexical": short}, samples, CONFIG)

    assert str(caught.value).splitlines() == [
        "arm mine: hybrid_experts shares experts between its sides, so their vectors must be equally long: "
        "kar_user/lexical has 3, kar_item/dense has 5",
        "  use vectors of the same length, such as those of one dense encoder",
    ]


def test_arms_with_disturbed_reasonings_are_shown_the_same_examples(samples, known):
    (real, shuffled, left_out, chance) = (
        prepare_views(ARMS[name], known, samples, 3)["0_in_context"]
        for name in ("llm-cf", "llm-cf-shuffled", "llm-cf-labels", "llm-cf-random")
    )

    for control in (shuffled, left_out):
        np.testing.assert_array_equal(control.chosen, real.chosen)
        np.testing.assert_array_equal(control.sample, real.sample)
        np.testing.assert_array_equal(control.label, real.label)
        assert control.facts == real.facts
        assert (control.vectors != real.vectors).any(axis=1).mean() > 0.8
    assert (left_out.vectors == 0).all()
    np.testing.assert_array_equal(chance.vectors, real.vectors)
    assert (chance.chosen != real.chosen).any(axis=1).mean() > 0.3
    assert chance.facts["shortage_share"] == real.facts["shortage_share"]
    assert chance.facts["recall"] < real.facts["recall"] == 1


def test_settings_say_how_many_examples_and_under_which_guards(samples, known):
    arm = ARMS["llm-cf"]

    def retrieval(**settings):
        config = CONFIG.model_copy(update={"seeds": (0,), "epochs": 1, "examples": ExamplesConfig(**settings)})
        return train_arm(arm, known, samples, config).retrieval

    assert retrieval(count=2)["k"] == 2
    strict, loose = retrieval(), retrieval(strict=False)
    assert strict["k"] == loose["k"] == 4
    assert loose["shortage_share"] < strict["shortage_share"]
    assert loose["days_back_median"] < strict["days_back_median"]


@pytest.mark.parametrize("count", [0, 3, -2])
def test_settings_refuse_an_odd_number_of_examples(count):
    with pytest.raises(ValidationError, match="count"):
        ExamplesConfig(count=count)


def test_kar_and_examples_enter_side_by_side(samples, known):
    arm = ARMS["kar+llm-cf"]
    views = prepare_views(arm, known, samples, 3)

    model = make_model(arm, views, Batches(samples, views), samples, CONFIG, 0)

    assert list(views) == list(model.adapters) == ["0_hybrid_experts", "1_in_context"]
    assert model.backbone.deep[0].in_features == 6 * 4 + Batches(samples, {}).dense_width + 64 + 32
