"""Calibration: the numbers of scikit-learn and of the formulas, from validation rows alone; what it does to order."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from base.faults import WrongUse
from ctr.arms.base import BASE
from ctr.calibration import CALIBRATION, CalibratedModel, fit, fit_isotonic, fit_platt, fit_temperature
from ctr.compare import train_arm
from ctr.config import TrainConfig, TreesConfig
from ctr.kept import keep, open_kept, score_rows
from sources.events import PARTS

CONFIG = TrainConfig(
    search=(), batch_size=64, embedding_dim=4, seeds=(3, 5), trees=TreesConfig(count=12, leaves=4), backbone="dcnv2"
)
NAMES = ("temperature", "platt", "isotonic")


def too_sure(rows=4_000, seed=0):
    """Logits that are 2.5 times too large and 0.7 too high."""
    random = np.random.default_rng(seed)
    true = random.normal(size=rows)
    label = (random.random(rows) < sigmoid(true)).astype(np.float32)
    return (2.5 * true + 0.7).astype(np.float32), label


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_temperature_is_that_of_a_logistic_regression_without_intercept():
    logits, label = too_sure()

    found = fit_temperature(logits.astype(np.float64), label)

    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(
        logits[:, None].astype(np.float64), label
    )
    assert 1 / found.temperature == pytest.approx(reference.coef_[0, 0], rel=1e-5)
    assert found.temperature > 2


@pytest.mark.parametrize(
    ("name", "method"), [("temperature", "temperature"), ("platt", "sigmoid"), ("isotonic", "isotonic")]
)
def test_probabilities_equal_those_of_scikit_learn(name, method):
    logits, label = too_sure()
    new = np.linspace(-6, 6, 101)
    line = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])  # its decision function is made to be the logit itself
    line.coef_, line.intercept_ = np.array([[1.0]]), np.array([0.0])

    found = sigmoid(fit(name, logits, label).apply(new))

    reference = CalibratedClassifierCV(FrozenEstimator(line), method=method).fit(logits[:, None].astype(float), label)
    expected = np.clip(reference.predict_proba(new[:, None])[:, 1], 1 / 4_002, 1 - 1 / 4_002)
    # Ours is kept from 0 and 1 at its points, so it differs a little between the last two.
    np.testing.assert_allclose(found, expected, atol=3e-4)


def test_isotonic_points_are_the_largest_of_the_least_means():
    logits, label = too_sure(60)
    order = np.argsort(logits)
    y = label[order].astype(np.float64)
    # Barlow et al. 1972: the fit at i is the largest over a <= i of the least over b >= i of the mean of y[a..b].
    expected = [max(min(y[a : b + 1].mean() for b in range(i, 60)) for a in range(i + 1)) for i in range(60)]

    found = sigmoid(fit_isotonic(logits.astype(np.float64), label).apply(logits[order]))

    np.testing.assert_allclose(found, np.clip(expected, 1 / 62, 61 / 62), atol=1e-9)


def test_calibration_undoes_what_was_wrong():
    logits, label = too_sure(20_000)
    others, outcome = too_sure(20_000, seed=1)

    platt, before = fit_platt(logits.astype(np.float64), label), log_loss(outcome, sigmoid(others.astype(np.float64)))

    assert platt.slope == pytest.approx(1 / 2.5, abs=0.02)
    assert platt.shift == pytest.approx(-0.7 / 2.5, abs=0.05)
    for name in NAMES:
        assert log_loss(outcome, sigmoid(fit(name, logits, label).apply(others))) < before - 0.05


def test_a_temperature_and_a_rising_line_change_no_auc():
    logits, label = too_sure()
    others, outcome = too_sure(seed=1)

    for name in NAMES[:2]:
        after = fit(name, logits, label).apply(others)
        np.testing.assert_array_equal(np.argsort(after, kind="stable"), np.argsort(others, kind="stable"))
        assert roc_auc_score(outcome, after) == roc_auc_score(outcome, others)
    curve = fit("isotonic", logits, label).apply(np.sort(others))
    assert (np.diff(curve) >= 0).all()


def test_rows_that_contradict_the_model_end_at_the_hottest_temperature():
    logits, label = too_sure()

    assert fit_temperature(-logits.astype(np.float64), label).temperature == pytest.approx(100)


@pytest.mark.parametrize("name", NAMES)
def test_separable_rows_give_finite_numbers(name):
    calibrated = fit(name, np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1])).apply(np.array([-50.0, 0, 50.0]))

    assert np.isfinite(calibrated).all()
    assert calibrated[0] < calibrated[2]


@pytest.mark.parametrize("label", [[], [1.0, 1.0]])
def test_rows_of_one_label_are_refused_in_words(label):
    with pytest.raises(WrongUse, match=r"(?s)platt is fitted on validation rows.*raise split.validation"):
        fit("platt", np.zeros(len(label)), np.array(label))


@pytest.mark.parametrize("name", NAMES)
def test_a_calibration_is_read_back_as_it_was_written(name):
    made = fit(name, *too_sure(200))

    assert CALIBRATION.validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backbone", ["dcnv2", "blend"])
def test_an_arm_is_scored_and_kept_with_its_calibration(tmp_path, samples, name, backbone):
    config = CONFIG.model_copy(update={"calibration": name, "backbone": backbone})
    test = np.flatnonzero(samples.part == PARTS.index("test"))

    result, plain = (
        train_arm(BASE, {}, samples, one) for one in (config, config.model_copy(update={"calibration": None}))
    )
    keep(tmp_path / "base", BASE, result.best, samples, "release-1")
    kept = open_kept(tmp_path / "base")

    np.testing.assert_array_equal(result.uncalibrated, plain.test)
    assert plain.uncalibrated.shape == (0, len(test))
    assert np.abs(result.test - plain.test).max() > 1e-3
    best = CONFIG.seeds.index(result.best.seed)
    assert result.best.seed == plain.best.seed
    model = plain.best.model
    rows = np.flatnonzero(samples.part == PARTS.index("validation"))
    expected = fit(name, model.logits(rows), samples.label[rows])
    assert kept.calibration == result.best.calibration == expected
    np.testing.assert_allclose(result.test[best], sigmoid(expected.apply(model.logits(test))), atol=1e-6)
    np.testing.assert_allclose(score_rows(kept, {}, samples, test), result.test[best], atol=1e-6)
    assert isinstance(result.best.model, CalibratedModel)
    assert result.best.model.parameters == model.parameters


def test_no_label_outside_the_validation_rows_moves_a_calibration(samples):
    config = CONFIG.model_copy(update={"calibration": "platt", "backbone": "gbdt"})
    window = np.where(samples.part == 2, -1, samples.part).astype(np.int8)
    cut = np.where(samples.part == 2, 2, 0).astype(np.int8)
    turned = replace(samples, label=np.where(samples.part == 2, 1 - samples.label, samples.label))
    wrong = replace(samples, label=np.where(samples.part == 1, 1 - samples.label, samples.label))

    one, same, other = (train_arm(BASE, {}, of, config, windows=[window, cut]) for of in (samples, turned, wrong))

    np.testing.assert_array_equal(one.test, same.test)
    np.testing.assert_array_equal(one.rolling, same.rolling)
    assert one.best.calibration == same.best.calibration != other.best.calibration


def test_models_of_rolling_time_get_the_calibration_of_those_that_chose_their_settings(samples):
    window = np.where(samples.part == 2, -1, samples.part).astype(np.int8)
    cut = np.where(samples.part == 2, 2, 0).astype(np.int8)
    config = CONFIG.model_copy(update={"calibration": "temperature", "seeds": (3,)})
    rows, test = (np.flatnonzero(of == at) for of, at in ((window, 1), (cut, 2)))

    calibrated, plain = (
        train_arm(BASE, {}, samples, one, windows=[window, cut])
        for one in (config, config.model_copy(update={"calibration": None}))
    )

    first = train_arm(BASE, {}, replace(samples, part=window), config).best  # the same rows, seed and settings
    found = np.log(calibrated.rolling / (1 - calibrated.rolling))
    expected = np.log(plain.rolling / (1 - plain.rolling)) / first.calibration.temperature
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.shape == (1, len(test))
    assert len(rows) > 50
