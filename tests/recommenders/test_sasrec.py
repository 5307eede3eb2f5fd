"""SASRec: causal, its attention against a loop over the formula, learns an order, kept and loaded alike."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from recommenders.kept import keep, load
from recommenders.log import requests_at
from recommenders.ranking import check
from recommenders.sasrec import SASREC, Block, Net, SASRecOptions, next_item_loss, windows_of

ITEMS = 8
SMALL = SASRecOptions(length=4, dimension=16, dropout=0.0, epochs=40, batch=8, learning_rate=0.01)


@pytest.fixture
def circle(make_log):
    """Sixteen users go round a circle of items, each from a place of his own."""
    return make_log([(f"u{u:02d}", (u + hour) % ITEMS, hour, 5.0) for hour in range(7) for u in range(16)])


def net_of(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net(ITEMS, 5, 6, 2, 2, 0.0).eval()


def test_a_position_sees_nothing_later_and_no_padding():
    net = net_of()
    pad = ITEMS + 1
    first, other = torch.tensor([[pad, ITEMS, 1, 2, 3]]), torch.tensor([[pad, ITEMS, 1, 2, 5]])

    states, changed = net(first), net(other)

    assert torch.equal(states[:, :4], changed[:, :4])
    assert not torch.allclose(states[:, 4], changed[:, 4])
    with torch.no_grad():
        net.embed.weight[pad] = 9.0
    assert torch.allclose(net(first)[:, 1:], states[:, 1:], atol=1e-6)


def test_a_block_is_the_formula():
    torch.manual_seed(0)
    block = Block(6, 2, 0.0).eval()
    states = torch.randn(1, 3, 6)

    found = block(states, torch.ones(3, 3, dtype=torch.bool).tril()[None, None])

    query, key, value = (part.view(3, 2, 3) for part in block.project(block.norm(states[0])).split(6, dim=1))
    seen = torch.zeros(3, 2, 3)
    for at in range(3):
        for head in range(2):
            weight = torch.softmax(torch.stack([query[at, head] @ key[j, head] for j in range(at + 1)]) / 3**0.5, 0)
            seen[at, head] = sum(weight[j] * value[j, head] for j in range(at + 1))
    middle = states[0] + block.out(seen.reshape(3, 6))
    expected = middle + block.outer(functional.relu(block.inner(block.norm_forward(middle))))
    assert torch.allclose(found[0], expected, atol=1e-6)


def test_the_loss_is_a_softmax_against_negatives_that_are_not_the_next_item_itself():
    net = net_of()
    window, negatives = torch.tensor([[ITEMS + 1, ITEMS, 1, 2]]), torch.tensor([2, 5, 7])

    found = next_item_loss(net, window, negatives)

    states, table = net(window[:, :-1])[0], net.embed.weight
    expected = []
    for state, goal, others in ((states[1], 1, [2, 5, 7]), (states[2], 2, [5, 7])):
        scores = torch.stack([state @ table[item] for item in (goal, *others)])
        expected.append(-torch.log(torch.exp(scores[0]) / torch.exp(scores).sum()))
    assert found.item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-6)


def test_windows_hold_every_liked_event_once_as_a_target(make_log):
    log = make_log([("a", item, item, 5.0) for item in range(6)] + [("b", 7, 6, 5.0), ("b", 1, 7, 1.0)])

    found = windows_of(log, ITEMS, 4)

    start, pad = ITEMS, ITEMS + 1
    assert found.tolist() == [[1, 2, 3, 4, 5], [pad, pad, start, 0, 1], [pad, pad, pad, start, 7]]


def test_it_learns_what_comes_next_and_the_same_from_the_same_seed(circle, make_context, hour, tmp_path):
    model = SASREC.fit(make_context(circle, ITEMS), SMALL)
    asked = requests_at(circle, np.array(["u00", "u03", "new"]), np.array([hour(4), hour(2.5), hour(9)]))

    found = model.recommend(asked, 3)

    check(found, asked, 3, ITEMS, "sasrec")
    assert found.items[:2, 0].tolist() == [4, 6]
    keep(tmp_path, SASREC, SMALL, model, [f"i{n}" for n in range(ITEMS)], {})
    assert np.array_equal(load(tmp_path).model.recommend(asked, 3).scores, found.scores)
    again = SASREC.fit(make_context(circle, ITEMS), SMALL).recommend(asked, 3)
    assert np.array_equal(again.scores, found.scores)


def test_a_batch_does_not_move_a_list(circle, make_context, hour):
    model = SASREC.fit(make_context(circle, ITEMS), SMALL.model_copy(update={"epochs": 1}))
    users = np.array([f"u{n:02d}" for n in range(16)])
    asked = requests_at(circle, users, np.array([hour(5)] * 16))

    together, alone = model.recommend(asked, 2), model.recommend(asked.part(7, 8), 2)

    assert together.scores[7] == pytest.approx(alone.scores[0], abs=1e-5)
