"""What is measured: a text that says how good an item is wins; figures equal references; nothing later is read."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from evals.prompts.worth.backbone import base_logits
from evals.prompts.worth.measure import measure_on
from evals.prompts.worth.pool import fill_pool
from evals.prompts.worth.probe import judge_probe, observed_items
from evals.prompts.worth.retrieval import judge_retrieval
from evals.prompts.worth.ridge import STRENGTHS
from evals.prompts.worth.verdicts import verdicts
from evals.trial import FACTS, Measured
from tests.evals.prompts.worth.conftest import BEGIN, V1, V2, Log, answer, trial_of

ALL = ["probe", "retrieval", "auc", "gauc", "memorised"]


@pytest.fixture(scope="module")
def found(log: Log, vectors: dict[str, np.ndarray]) -> dict[str, Measured]:
    return log.measure(vectors)


def test_a_text_that_says_how_good_an_item_is_is_worth_more(found: dict[str, Measured]):
    assert list(found) == ALL
    gain = found["probe"].against[V2][V1]
    assert (gain.mean or 0) > (gain.low or 0) > 0
    assert (gain.p or 1) <= 0.0125
    said = " ".join(verdicts(list(found.values()), (V1, V2)))
    assert f"{V2} is worth more than {V1} on the probe (+" in said
    assert f"{V2} is worth more than the catalogue's facts on the probe (+" in said
    assert f"{V1} is not shown to be worth more than the catalogue's facts on the probe or" in said


def test_every_measure_has_figures_of_all_and_both_directions(found: dict[str, Measured]):
    for measured in list(found.values())[:-1]:
        assert {V1, V2, FACTS} <= set(measured.figures)
        there, back = measured.against[V2][V1], measured.against[V1][V2]
        assert there.mean == pytest.approx(-(back.mean or 0))
        assert there.p == back.p
        assert set(measured.against[V1]) == {V2, FACTS}


def test_the_probe_is_the_correlation_of_left_out_predictions(log: Log, vectors: dict[str, np.ndarray]):
    trial, facts, encode = trial_of(vectors)
    ground, pool = log.ground(), fill_pool(trial, facts, encode)
    seen = observed_items(ground)

    score = judge_probe(ground, pool, encode, 0).score(pool.of(V2))[0]

    events = log.dataset.events.filter(pl.col("part") == "train").with_columns(pl.col("rating").cast(pl.Float64))
    above = pl.col("rating") - events["rating"].mean()
    shrunk = above.sum().over("user") / (pl.len().over("user") + 5)
    by_item = events.with_columns(residual=above - shrunk).group_by("item").agg(pl.col("residual").mean(), n=pl.len())
    residual, count = (by_item.sort("item")[column].to_numpy() for column in ("residual", "n"))
    weight = count / (count + 5)
    target = residual - np.average(residual, weights=weight)
    np.testing.assert_allclose(seen.target, target, atol=1e-5)
    x = pool.vectors[pool.of(V2)] - pool.vectors[pool.of(V2)].mean(axis=0)
    scores = []
    for strength in STRENGTHS:
        fitted = cross_val_predict(
            Ridge(strength, fit_intercept=False), x, target, cv=LeaveOneOut(), params={"sample_weight": weight}
        )
        cov = np.cov(fitted, target, aweights=weight)
        scores.append(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]))
    assert min(abs(score - one) for one in scores) < 1e-5


def test_retrieval_is_the_mean_auc_of_users(log: Log, vectors: dict[str, np.ndarray]):
    trial, facts, encode = trial_of(vectors)
    ground, pool = log.ground(), fill_pool(trial, facts, encode)

    score = judge_retrieval(ground, pool, encode, 0).score(pool.of(V2))[0]

    x = pool.vectors[pool.of(V2)] - pool.vectors[pool.of(V2)].mean(axis=0)
    events, aucs = log.dataset.events.filter(pl.col("part") != "test"), []
    for _, own in events.group_by("user", maintain_order=True):
        code = np.array([int(item[1:]) for item in own["item"]])
        train, liked = (own["part"] == "train").to_numpy(), (own["label"] == 1).to_numpy()
        wanted, unmet = code[~train & liked], np.setdiff1d(np.arange(len(x)), code)
        if len(wanted) and (train & liked).any():
            scores = x @ x[code[train & liked]].mean(axis=0)
            label = np.r_[np.ones(len(wanted)), np.zeros(len(unmet))]
            aucs.append(roc_auc_score(label, np.r_[scores[wanted], scores[unmet]]))
    assert score == pytest.approx(np.mean(aucs))


def test_test_rows_are_never_read_and_the_same_seed_gives_the_same_figures(
    log: Log, vectors: dict[str, np.ndarray], found: dict[str, Measured]
):
    garbage = log.changed(pl.col("part") == "test", float("nan"), 1 - 1e6)

    assert garbage.measure(vectors) == found


def test_validation_rows_change_no_probe(log: Log, vectors: dict[str, np.ndarray], found: dict[str, Measured]):
    other = log.changed(pl.col("part") == "validation", 0.5, 0.0).changed(
        (pl.col("part") == "validation") & (pl.col("position") == 18), 5.0, 1.0
    )
    measured = other.measure(vectors)

    assert measured["probe"] == found["probe"]
    assert measured["auc"] != found["auc"]


def test_a_later_event_changes_no_score_of_an_earlier_row(log: Log):
    last = log.dataset.events.filter(pl.col("part") == "validation")["time"].max()
    before, after = (log.changed(pl.col("time") == last, 5 * label, label).ground() for label in (0.0, 1.0))

    earlier = before.samples.time < np.datetime64(last.replace(tzinfo=None))  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    np.testing.assert_array_equal(before.samples.statistics[earlier], after.samples.statistics[earlier])
    logits = [base_logits(ground.samples, ground.covered, seeds=(0,)) for ground in (before, after)]
    np.testing.assert_array_equal(logits[0][earlier], logits[1][earlier])
    np.testing.assert_array_equal(before.residual[earlier], after.residual[earlier])


def test_a_text_is_used_only_for_later_samples(log: Log, vectors: dict[str, np.ndarray]):
    as_of = BEGIN + timedelta(hours=60 * 10)
    ground = log.ground(as_of=as_of)

    used = ground.seen >= 0

    np.testing.assert_array_equal(used, ground.samples.time > np.datetime64(as_of.replace(tzinfo=None)))
    early = log.changed(pl.col("time") <= as_of, 5.0, 1.0)
    late = log.changed(pl.col("time") > as_of, 5.0, 1.0)
    assert 0 < used.sum() < len(used)
    counted = observed_items(ground)
    assert len(counted.target)
    np.testing.assert_array_equal(observed_items(early.ground(as_of=as_of)).weight, counted.weight)
    assert not np.allclose(observed_items(late.ground(as_of=as_of)).target, counted.target)


def test_texts_that_are_as_new_as_every_event_give_no_number_but_say_why(log: Log, vectors: dict[str, np.ndarray]):
    found = log.measure(vectors, as_of=BEGIN + timedelta(days=9_000))

    for measured in list(found.values())[:-1]:
        assert measured.figures[V1].mean is None
        assert measured.figures[V1].why
    said = verdicts(list(found.values()), (V1, V2))
    assert any(sentence.startswith("The probe is not measured: 0 items of the sample") for sentence in said)
    assert not any("worth more" in sentence for sentence in said)


def test_rows_without_a_text_make_a_version_worth_less(log: Log, vectors: dict[str, np.ndarray]):
    trial, _, encode = trial_of({V1: vectors[V2], V2: vectors[V2]})
    lacking = [answer(None) if at % 2 else one for at, one in enumerate(trial.answers[V2])]
    pool = fill_pool(replace(trial, answers={V1: trial.answers[V1], V2: lacking}), {}, encode)

    judge = judge_probe(log.ground(), pool, encode, 0)

    assert judge.score(pool.of(V2))[0] < judge.score(pool.of(V1))[0] - 0.1
    assert judge.named[0].rows == 60


def test_texts_about_queries_have_no_probe(log: Log, vectors: dict[str, np.ndarray]):
    trial, _, encode = trial_of({V1: vectors[V1], V2: vectors[V2]})
    found = measure_on(log.ground("query"), trial, {}, encode)

    assert found[0].figures[V1].why == "there is no probe for texts about an entity of kind query"
    assert FACTS not in found[0].figures


def test_texts_about_users_are_probed_by_what_they_like_later(log: Log):
    random = np.random.default_rng(6)
    vectors = {version: random.normal(size=(60, 12)) for version in (V1, V2)}

    found = log.measure(vectors, entity="user", as_of=BEGIN + timedelta(hours=60 * 12))

    assert found["probe"].figures[V1].rows == 60
    assert abs(found["probe"].figures[V1].mean or 1) < 0.4
    assert 0.3 < (found["retrieval"].figures[V1].mean or 0) < 0.7
    assert not any("worth more" in one for one in verdicts(list(found.values()), (V1, V2)))


def test_each_text_is_encoded_once(log: Log):
    vectors = {version: np.random.default_rng(7).normal(size=(60, 12)) for version in (V1, V2)}
    as_of = BEGIN + timedelta(hours=60 * 12)
    trial, _, encode = trial_of(vectors, "user", as_of)
    asked: list[str] = []

    measure_on(log.ground("user", as_of), trial, {}, lambda texts: asked.extend(texts) or encode(texts))

    assert len(asked) == len(set(asked)) == 2 * 60 + 60
