"""A shared beginning: the same losses, scores and gradients as separate examples, from fewer tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from base.faults import WrongUse
from tuning.base import load_weights
from tuning.losses import completion_loss
from tuning.packing import NOT_LEARNT, collate
from tuning.ranking import Ranked, collate_queries, scores_of
from tuning.sharing import check_sharing, collate_shared, pack_alike, shared_tokens
from tuning.tokens import Example


def example(*ids: int, prompt: int) -> Example:
    return Example(np.array(ids, dtype=np.int32), prompt)


def examples(count: int, seed: int = 0) -> list[Example]:
    """Make examples that share 50 tokens, each with up to 5 more in its prompt and up to 6 in its answer."""
    chance = np.random.default_rng(seed)
    beginning = chance.integers(10, 200, 50)
    found = []
    for _ in range(count):
        own, said = chance.integers(10, 200, chance.integers(1, 6)), chance.integers(10, 200, chance.integers(1, 7))
        found.append(Example(np.concatenate([beginning, own, said]).astype(np.int32), 50 + len(own)))
    return found


def test_a_batch_by_hand():
    row = [example(1, 2, 3, 4, 5, prompt=3), example(1, 2, 7, 8, prompt=3)]

    batch = collate_shared([row], pad=9)

    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 7, 8]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 3]]
    assert batch["logits_to_keep"].tolist() == [2, 3, 5]
    assert batch["labels"].tolist() == [[NOT_LEARNT, 4, 5, 8]]
    assert batch["attention_mask"][0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1, 1],
    ]


def test_the_last_token_of_a_prompt_is_never_shared():
    alike = [example(1, 2, 3, 4, prompt=3), example(1, 2, 3, 5, prompt=3)]

    assert shared_tokens(alike) == 2  # the third predicts both 4 and 5


@given(st.lists(st.integers(0, 3), max_size=60))
def test_every_example_is_in_one_row_with_those_that_begin_alike(kinds):
    given_examples = [
        Example(np.array([kind] * 60 + [place, 1], dtype=np.int32), 61) for place, kind in enumerate(kinds)
    ]

    rows = pack_alike(given_examples, 70)

    assert sorted(place for row in rows for place in row) == list(range(len(kinds)))
    assert all(len({kinds[place] for place in row}) == 1 and len(row) <= 5 for row in rows)  # 60 shared + 5 * 2 own


def test_prompts_that_share_only_a_system_message_go_into_different_rows():
    system = list(range(100, 150))
    told = [
        Example(np.array([*system, *[kind] * 60, place, 1], dtype=np.int32), 111)
        for place, kind in enumerate([7, 8] * 3)
    ]

    assert pack_alike(told, 200) == [[0, 2, 4], [1, 3, 5]]


def test_loss_and_gradient_are_those_of_separate_examples(base):
    model = load_weights(base.folder)
    rows = [examples(5), examples(3, seed=1)]
    found = []
    for batch in (collate_shared(rows, base.pad), collate([[one] for row in rows for one in row], base.pad)):
        labels = batch.pop("labels")
        model.zero_grad()
        loss = completion_loss(model(**batch, use_cache=False).logits, labels, int((labels != NOT_LEARNT).sum()))
        loss.backward()
        found.append((loss.item(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]))

    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_rewrites_in_one_row_score_as_in_rows_of_their_own(base):
    model = load_weights(base.folder).eval()
    answers = examples(7)
    rewards = np.arange(4, dtype=np.float32)
    queries = [Ranked("a", tuple(answers[:4]), rewards), Ranked("b", tuple(answers[4:]), rewards[:3])]
    found = []
    with torch.inference_mode():
        for share in (True, False):
            batch = collate_queries(queries, base.pad, share)
            mask, _ = batch.pop("mask"), batch.pop("rewards")
            found.append((scores_of(model, batch, mask), batch["input_ids"].numel()))

    assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
    assert found[0][1] < 0.4 * found[1][1]


def test_a_model_that_sees_across_examples_is_refused(base):
    model = load_weights(base.folder)
    forward = model.forward

    def without_mask(attention_mask=None, **given):
        return forward(**given)

    check_sharing(model, [examples(3)], base.pad)
    model.forward = without_mask
    with pytest.raises(WrongUse, match="leave out --share-prompts"):
        check_sharing(model, [examples(3)], base.pad)
