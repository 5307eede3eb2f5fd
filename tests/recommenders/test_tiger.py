"""TIGER: every beam is a real item, the beam finds what brute force finds, an order is learned, kept and loaded alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from base.faults import WrongUse
from recommenders.kept import keep, load
from recommenders.log import requests_at
from recommenders.ranking import check
from recommenders.tiger import TIGER, TigerOptions, Trie, build, examples, hashed, search

ITEMS = 8
CODES = np.array([[place // 4, place % 4 // 2, place % 2] for place in range(ITEMS)], dtype=np.int32)
SMALL = TigerOptions(length=3, dimension=16, layers=1, heads=2, dropout=0.0, epochs=30, batch=16, learning_rate=0.01)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network gains nothing by more
    yield
    torch.set_num_threads(before)


@pytest.fixture
def circle(make_log):
    """Sixteen users go round a circle of items, each from a place of his own."""
    return make_log([(f"u{u:02d}", (u + hour) % ITEMS, hour, 5.0) for hour in range(7) for u in range(16)])


@pytest.fixture
def with_codes(make_context):
    return lambda log, codes=CODES: replace(make_context(log, len(codes)), codes=lambda name: codes)


def untrained(codes=CODES, **changes):
    torch.manual_seed(0)
    model = build(codes, SMALL.model_copy(update=changes))
    model.net.eval()
    return model


PAST = np.array([[-1, 2, 7], [-1, -1, -1]])


def test_every_beam_is_a_real_item_and_none_is_found_twice():
    few = CODES.copy()
    few[[1, 4]] = -1  # two items without codes
    model = untrained(few)

    item, score = search(model.net, model.trie, torch.tensor([3, 4]), model.tokens(PAST), 20)

    for places, scores in zip(item, score, strict=True):
        assert sorted(places[scores > -torch.inf].tolist()) == [0, 2, 3, 5, 6, 7]


def test_a_beam_as_wide_as_the_catalogue_gives_each_item_the_product_of_its_codes_probabilities():
    model = untrained()
    users, tokens = torch.tensor([3, 4]), model.tokens(PAST)

    item, score = search(model.net, model.trie, users, tokens, ITEMS)

    with torch.no_grad():
        memory, padding = model.net.encode(users, tokens)
        for row in range(2):
            expected = {}
            for place, codes in enumerate(CODES.tolist()):
                total, given = 0.0, []
                for level, code in enumerate(codes):
                    asked = torch.tensor([given], dtype=torch.int64).reshape(1, level)
                    logits = model.net.decode(memory[row : row + 1], padding[row : row + 1], asked)[level]
                    total += functional.log_softmax(logits, 1)[0, code].item()
                    given.append(code + 2 * level)
                expected[place] = total
            found = dict(zip(item[row].tolist(), score[row].tolist(), strict=True))
            assert found == pytest.approx(expected, abs=1e-5)
    assert (score[:, 1:] <= score[:, :-1]).all()


def test_the_loss_is_cross_entropy_of_each_code_given_those_before_it():
    model = untrained()
    users, tokens, target = torch.tensor([3, 4]), model.tokens(PAST), torch.tensor([[1, 0, 1], [0, 1, 1]])

    with torch.no_grad():
        found = model.net.loss(users, tokens, target).item()
        item, score = search(model.net, model.trie, users, tokens, ITEMS)
    mine = [score[row][item[row] == place].item() for row, place in enumerate((5, 3))]
    assert found == pytest.approx(-np.mean(mine) / 3, abs=1e-5)


def test_padding_and_users_of_another_token_are_told_apart():
    model = untrained()
    with torch.no_grad():
        before = model.net.encode(torch.tensor([3]), model.tokens(PAST[:1]))[0][:, [0, -1]]
        model.net.token.weight[model.net.padding] = 9.0
        after = model.net.encode(torch.tensor([3]), model.tokens(PAST[:1]))[0][:, [0, -1]]
        other = model.net.encode(torch.tensor([4]), model.tokens(PAST[:1]))[0][:, [0, -1]]

    assert torch.allclose(before, after, atol=1e-6)
    assert not torch.allclose(after, other, atol=1e-3)
    assert hashed(np.array(["a", "b", "a"]), 2000).tolist() == [
        0xE8B7BE43 % 2000,
        0x71BEEFF9 % 2000,
        0xE8B7BE43 % 2000,
    ]  # CRC-32 of the letters


def test_examples_hold_what_a_user_liked_before_and_nothing_of_others(make_log):
    log = make_log([("b", 1, 0, 5.0), ("a", 2, 1, 5.0), ("a", 3, 2, 1.0), ("a", 4, 3, 5.0), ("a", 0, 4, 5.0)])

    user, item, past = examples(log, 2, np.array([True, True, True, True, False]))

    assert user.tolist() == ["a", "a", "b"]
    assert item.tolist() == [2, 0, 1]
    assert past.tolist() == [[-1, -1], [-1, 2], [-1, -1]]


def test_it_learns_what_comes_next_and_is_kept(circle, with_codes, hour, tmp_path):
    model = TIGER.fit(with_codes(circle), SMALL)
    asked = requests_at(circle, np.array(["u00", "u03", "new"]), np.array([hour(4), hour(2.5), hour(9)]))

    found = model.recommend(asked, 3)

    check(found, asked, 3, ITEMS, "tiger")
    assert found.items[:2, 0].tolist() == [4, 6]
    keep(tmp_path, TIGER, SMALL, model, [f"i{n}" for n in range(ITEMS)], {})
    assert np.array_equal(load(tmp_path).model.recommend(asked, 3).scores, found.scores)
    short = SMALL.model_copy(update={"epochs": 1})
    once, again = (TIGER.fit(with_codes(circle), short).recommend(asked, 3).scores for _ in range(2))
    assert np.array_equal(once, again)


def test_items_of_equal_codes_and_items_without_any_are_refused():
    with pytest.raises(WrongUse, match="no items have codes"):
        Trie(np.full((3, 2), -1), [0, 0])
    with pytest.raises(WrongUse, match="1 items have the codes of another"):
        Trie(np.array([[0, 1], [1, 1], [0, 1]]), [2, 2])
