"""Text quality: each fold is predicted by a ridge regression that never met a rating of its items."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ctr.adapters.quality import MOMENTS, item_residuals, known_before, moments_of, out_of_fold, prepare
from feature_store.vectors import Knowledge

FOLDS = 3


@pytest.fixture
def knowledge(world, samples):
    return world.knowledge(samples)


@pytest.fixture
def item(knowledge):
    return np.array([int(name[1:]) for name in knowledge.entities])


def with_ratings(samples, rows, change=2.5):
    return replace(samples, rating=np.where(rows, samples.rating + change, samples.rating).astype(np.float32))


def ridge(x, y, weight):
    """The closed form: weighted means are taken off, then (X' W X + I) b = X' W y."""
    x_mean, y_mean = weight @ x / weight.sum(), weight @ y / weight.sum()
    x, y = x - x_mean, y - y_mean
    slope = np.linalg.solve(x.T @ (weight[:, None] * x) + np.eye(x.shape[1]), x.T @ (weight * y))
    return slope, y_mean - x_mean @ slope


def everything(samples):
    """Count the first two thirds of the log."""
    return samples.time < np.sort(samples.time)[len(samples.time) * 2 // 3]


def naive(knowledge, item, samples, fold):
    """Rows of a fold, from lists of ratings, one item at a time."""
    counted = everything(samples)
    train = [n for n in range(len(samples.item)) if counted[n] and samples.item[n] % FOLDS != fold]
    of_user, of_item = {}, {}
    for n in train:
        of_user.setdefault(samples.user[n], []).append(float(samples.rating[n]))
    for n in train:
        of_item.setdefault(samples.item[n], []).append(float(samples.rating[n]) - np.mean(of_user[samples.user[n]]))
    fit = [m for m in range(len(item)) if item[m] in of_item]
    x = knowledge.vectors[fit].astype(np.float64)
    y = np.array([np.mean(of_item[item[m]]) for m in fit])
    weight = np.array([len(of_item[item[m]]) / (len(of_item[item[m]]) + 5) for m in fit])
    return x, y, weight


def test_each_fold_equals_the_closed_form_and_scikit_learn(knowledge, item, samples):
    found = out_of_fold(knowledge.vectors, item, samples, everything(samples), FOLDS)

    assert found.dtype == np.float32
    for fold in range(FOLDS):
        x, y, weight = naive(knowledge, item, samples, fold)
        asked = knowledge.vectors[item % FOLDS == fold].astype(np.float64)
        slope, intercept = ridge(x, y, weight)
        np.testing.assert_allclose(found[item % FOLDS == fold], asked @ slope + intercept, atol=1e-5)
        model = Ridge(alpha=1.0).fit(x, y, sample_weight=weight)
        np.testing.assert_allclose(found[item % FOLDS == fold], model.predict(asked), atol=1e-5)


def test_ratings_of_an_item_never_change_its_own_quality_but_those_of_other_folds(knowledge, item, samples):
    before = out_of_fold(knowledge.vectors, item, samples, everything(samples), FOLDS)

    for code in item[:6]:
        after = out_of_fold(
            knowledge.vectors, item, with_ratings(samples, samples.item == code), everything(samples), FOLDS
        )
        own = item % FOLDS == code % FOLDS
        np.testing.assert_array_equal(after[own], before[own])  # not even by way of its raters' means
        assert (after[~own] != before[~own]).all()


def test_ratings_of_a_whole_fold_never_change_its_qualities(knowledge, item, samples):
    before = out_of_fold(knowledge.vectors, item, samples, everything(samples), FOLDS)

    for fold in range(FOLDS):
        after = out_of_fold(
            knowledge.vectors, item, with_ratings(samples, samples.item % FOLDS == fold), everything(samples), FOLDS
        )
        np.testing.assert_array_equal(after[item % FOLDS == fold], before[item % FOLDS == fold])


def test_ratings_that_are_not_counted_are_never_read(knowledge, item, samples):
    changed = with_ratings(samples, ~everything(samples), change=99)

    np.testing.assert_array_equal(
        out_of_fold(knowledge.vectors, item, changed, everything(samples), FOLDS),
        out_of_fold(knowledge.vectors, item, samples, everything(samples), FOLDS),
    )


def test_residuals_are_ratings_minus_their_user_s_mean(world):
    # User 0 gives 2 and 4 (mean 3), user 1 gives 5 and, not counted, 1.
    samples = world.bare([0, 0, 1, 1], [0, 1, 1, 1], [1, 2, 3, 4], rating=np.float32([2, 4, 5, 1]), items=3)

    count, residual = item_residuals(samples, np.array([True, True, True, False]))

    assert count.tolist() == [1, 2, 0]
    assert residual.tolist() == [-1, (1 + 0) / 2, 0]


def test_an_item_without_ratings_gets_a_quality_from_its_text(world):
    # Quality is the first coordinate; items 0 to 5 are rated accordingly by two users each, item 6 by nobody.
    quality = [-1.0, 1, -1, 1, -1, 1]
    rows = [(user, item) for user in (0, 1) for item in range(6)]
    rating = np.float32([3 + quality[item] for _, item in rows])
    samples = world.bare([u for u, _ in rows], [i for _, i in rows], list(range(12)), rating=rating, items=7)
    vectors = np.float32([[10 * q] for q in [*quality, 1.0]])

    found = out_of_fold(vectors, np.arange(7), samples, np.full(12, True), 2)

    # Two ratings weigh 2/7. Item 6 is of fold 0: fitted on items 1, 3 and 5 alone, all of quality 1, minus the users'
    # mean over just these: 0. Fold 1 likewise.
    assert found.tolist() == pytest.approx([0] * 7, abs=1e-6)
    # With three folds both qualities are on either side of each cut. Weights w = 2/7 and x = +-10 around a mean m:
    # folds 0 (items 0, 3 and 6): fitted on 1, 2, 4, 5 with residuals +-1: slope = w * 4 * 10 / (w * 4 * 100 + 1).
    slope = 2 / 7 * 40 / (2 / 7 * 400 + 1)
    assert out_of_fold(vectors, np.arange(7), samples, np.full(12, True), 3)[[0, 3, 6]].tolist() == pytest.approx(
        [-10 * slope, 10 * slope, 10 * slope], abs=1e-5
    )


def test_fewer_than_two_rated_texts_of_other_folds_give_a_quality_of_0(world):
    # User 0 gives 5 and 1 to items 1 and 3, which alone are of fold 1; item 1 is the only one of them with a text.
    samples = world.bare([0, 0], [1, 3], [1, 2], rating=np.float32([5, 1]))

    of_one = out_of_fold(np.float32([[1], [2]]), np.array([0, 1]), samples, np.full(2, True), 2)
    of_none = out_of_fold(np.float32([[1], [2]]), np.array([0, 2]), samples, np.full(2, True), 2)

    assert of_one.tolist() == of_none.tolist() == [0, 0]


def test_rows_about_unknown_items_and_other_entities_are_left_alone(world, samples, knowledge):
    stranger = replace(knowledge, entities=np.where(np.arange(len(knowledge.entities)) < 3, "x", knowledge.entities))

    view = prepare([stranger], samples, FOLDS)["kar_item/dense"]

    unknown = np.isin(samples.item_ids[samples.item], knowledge.entities[:3])
    assert unknown.any()
    assert (view.rows[unknown] == -1).all()
    assert view.coverage > 0.3
    about_users = Knowledge(
        "t", "e", "user", samples.item_ids, np.zeros(25, dtype="datetime64[us]"), np.ones((25, 2), dtype=np.float32)
    )
    assert prepare([about_users], samples, FOLDS)["t/e"].coverage == 0


def test_snapshots_of_one_item_share_its_fold(world, samples, knowledge):
    twice = replace(
        knowledge,
        entities=np.tile(knowledge.entities, 2),
        as_of=np.concatenate([knowledge.as_of, knowledge.as_of + np.timedelta64(1, "D")]),
        vectors=np.concatenate([knowledge.vectors, -knowledge.vectors]),
    )
    item = np.tile([int(name[1:]) for name in knowledge.entities], 2)
    before = out_of_fold(twice.vectors, item, samples, everything(samples), FOLDS)

    after = out_of_fold(twice.vectors, item, with_ratings(samples, samples.item == item[0]), everything(samples), FOLDS)

    own = item == item[0]
    assert own.sum() == 2
    np.testing.assert_array_equal(after[own], before[own])


def test_a_sample_is_served_by_the_newest_fit_strictly_before_it(samples, knowledge, item):
    view = prepare([knowledge], samples, FOLDS)["kar_item/dense"]

    # By the words of the docstring: moments at equal numbers of events, each fitted on what is strictly before it.
    times, raw = np.sort(samples.time), np.full(len(samples.time), np.nan)
    moments = sorted({times[k * len(times) // (MOMENTS + 1)] for k in range(1, MOMENTS + 1)})
    for row, time in enumerate(samples.time):
        fitted = [moment for moment in moments if moment <= time]
        about = np.flatnonzero((knowledge.entities == samples.item_ids[samples.item[row]]) & (knowledge.as_of < time))
        if fitted and len(about):
            raw[row] = max(fitted).astype(np.int64)  # which fit it is; the values follow below
    assert ((view.rows >= 0) == ~np.isnan(raw)).all()
    last = (samples.time >= moments[-1]) & (view.rows >= 0) & (knowledge.as_of.max() < samples.time)
    fit = out_of_fold(knowledge.vectors, item, samples, samples.time < moments[-1], FOLDS)
    code = {name: place for place, name in enumerate(knowledge.entities)}
    expected = fit[[code[samples.item_ids[one]] for one in samples.item[last]]]
    same = np.flatnonzero(last)[samples.time[last] == samples.time[last][0]]
    assert len(same) > 2  # rows of one moment share mean and deviation, so that differences keep their ratio
    assert np.corrcoef(view.table[same, 0], expected[np.isin(np.flatnonzero(last), same)])[0, 1] > 0.999


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_no_rating_at_or_after_a_sample_s_time_changes_its_quality(samples, knowledge, share):
    cut = np.sort(samples.time)[int(len(samples.time) * share)]
    later = samples.time >= cut

    before, after = (
        prepare([knowledge], one, FOLDS)["kar_item/dense"] for one in (samples, with_ratings(samples, later, 99))
    )

    unseen = samples.time <= cut
    assert (before.rows[unseen] >= 0).any()
    np.testing.assert_array_equal(after.rows, before.rows)
    np.testing.assert_array_equal(after.table[unseen], before.table[unseen])
    assert share == 0.9 or (after.table[~unseen] != before.table[~unseen]).any()


def test_vectors_that_are_not_known_yet_change_no_quality(samples, knowledge):
    middle = np.sort(samples.time)[len(samples.time) // 2]
    dated = replace(knowledge, as_of=np.where(np.arange(len(knowledge.as_of)) % 2 == 0, knowledge.as_of, middle))
    late = dated.as_of >= middle
    changed = replace(dated, vectors=np.where(late[:, None], -3 * dated.vectors, dated.vectors))

    before, after = (prepare([one], samples, FOLDS)["kar_item/dense"] for one in (dated, changed))

    unseen = samples.time <= middle
    assert late.any()
    assert (before.rows[unseen] >= 0).any()
    np.testing.assert_array_equal(after.table[unseen], before.table[unseen])
    assert (after.table[~unseen] != before.table[~unseen]).any()


def test_each_fit_reads_the_newest_row_of_an_item_that_was_known_before_it():
    second = np.array([1, 3, 2, 9, 1], dtype="datetime64[s]").astype("datetime64[us]")

    known = known_before(np.array([0, 0, 1, 1, -1]), second, np.datetime64(3, "s"))

    assert known.tolist() == [True, False, True, False, False]  # the row of second 3 is not strictly before it


def test_moments_part_events_equally_and_serve_what_is_not_earlier():
    time = np.array([5, 1, 2, 2, 9, 7], dtype="datetime64[s]").astype("datetime64[us]")

    moments, served = moments_of(time, 2)  # sorted: 1 2 2 5 7 9; places 2 and 4

    assert moments.astype("datetime64[s]").astype(int).tolist() == [2, 7]
    assert served.tolist() == [0, -1, 0, 0, 1, 1]
    assert moments_of(time[:0], 3)[1].tolist() == []
