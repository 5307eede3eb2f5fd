"""The past of a sample: as a loop over the log finds it, strictly earlier, of any length, without a wide array."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from base.faults import WrongUse
from ctr.batch import Batches
from ctr.past import PastRule, Pasts, category_bits


def found_by_loop(samples, row, rule):
    """Rows of the past of one row, oldest first."""
    earlier = [
        other
        for other in np.lexsort((np.arange(len(samples.user)), samples.time)).tolist()
        if samples.happened[other]
        and samples.user[other] == samples.user[row]
        and samples.time[other] < samples.time[row]
    ][-rule.events :]
    if rule.same_category:
        shares = samples.item_categories
        wanted = shares[samples.item[row]]
        earlier = [one for one in earlier if (shares[samples.item[one]] * wanted).any()][-rule.same_category :]
    return earlier


def check(samples, rule, rows):
    past = Pasts(samples, rule).take(torch.from_numpy(rows))
    counts = []
    for place, row in enumerate(rows.tolist()):
        expected = found_by_loop(samples, row, rule)
        counts.append(len(expected))
        there = past.mask[place].bool()
        assert there.tolist() == [False] * (len(there) - len(expected)) + [True] * len(expected)
        assert past.item[place][there].tolist() == samples.item[expected].tolist()
        rating = samples.rating[expected]
        np.testing.assert_allclose(past.rating[place][there], rating - rating.mean() if len(rating) else [], atol=1e-6)
        seconds = (samples.time[row] - samples.time[expected]) // np.timedelta64(1, "s")
        assert past.age[place][there].tolist() == seconds.astype(int).tolist()
        for of in (past.item, past.rating, past.age):
            assert not of[place][~there].any()
    return past, counts


@pytest.mark.parametrize("rule", [PastRule(1000, 4), PastRule(8, 3), PastRule(5), PastRule(30)])
def test_the_past_is_what_a_loop_over_the_log_finds(samples, rule):
    past, counts = check(samples, rule, np.arange(0, len(samples.user), 3))

    assert past.item.shape[1] == (rule.same_category or rule.events)
    assert min(counts) == 0
    assert max(counts) == (rule.same_category or min(rule.events, 18))  # 20 events, three at a moment


def test_sampled_negatives_have_a_past_and_are_in_none(samples):
    sampled = np.arange(len(samples.user)) % 4 == 0

    check(replace(samples, sampled=sampled), PastRule(10, 4), np.arange(0, len(samples.user), 5))


def test_later_events_and_those_of_the_same_moment_change_no_past(samples):
    rows = np.flatnonzero(samples.time < np.sort(samples.time)[len(samples.time) // 2])
    late = samples.time >= samples.time[rows].max()  # the moment of the last of these rows, too
    changed = replace(
        samples, item=np.where(late, 0, samples.item), rating=np.where(late, 99, samples.rating).astype("f4")
    )

    one, other = (Pasts(of, PastRule(6)).take(torch.from_numpy(rows)) for of in (samples, changed))

    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("item", "rating", "age", "mask"))


def test_a_past_of_a_thousand_events_is_found_by_category(world):
    # One user, an event a second, items 0 and 1 in turn; each is of a category of its own.
    count = 1_500
    item = [second % 2 for second in range(count)]
    shares = np.eye(2, dtype=np.float32)
    samples = world.bare([0] * count, item, list(range(count)), item_categories=shares)

    past = Pasts(samples, PastRule(1000, 1000)).take(torch.tensor([1_499]))

    # the newest 1,000 are the seconds 499 to 1,498, of which 500 have an odd second, as item 1 has
    assert past.mask.sum().item() == 500
    assert past.age[0][past.mask[0] > 0].tolist() == list(range(1000, 0, -2))
    assert set(past.item[0][past.mask[0] > 0].tolist()) == {1}


def test_many_categories_take_several_integers():
    shares = np.eye(130, dtype=np.float32)
    shares[0, 129] = 1

    bits = category_bits(shares)

    assert bits.shape == (130, 3)
    both = ((bits[:, None] & bits[None]) != 0).any(-1)
    np.testing.assert_array_equal(both, (shares @ shares.T) > 0)


def test_users_without_a_past_in_one_batch_have_an_empty_one(world):
    samples = world.bare([0, 1], [0, 1], [1, 1], item_categories=np.eye(2, dtype=np.float32))

    past = Pasts(samples, PastRule(1000, 50)).take(torch.tensor([0, 1]))

    assert past.item.shape == past.mask.shape == (2, 0)


def test_without_categories_a_search_by_category_says_what_to_name(world):
    samples = world.bare([0, 0], [0, 1], [1, 2])

    with pytest.raises(WrongUse, match=r"(?s)no item has a category.*categories:"):
        Pasts(samples, PastRule(1000, 50))

    assert Pasts(samples, PastRule(3)).take(torch.tensor([1])).mask.tolist() == [[0, 0, 1]]


def test_batches_find_a_past_only_for_a_backbone_that_asks(samples):
    rows = torch.tensor([700])

    assert Batches(samples, {}).take(rows).past is None
    assert Batches(samples, {}, PastRule(4)).take(rows).past.item.shape == (1, 4)
