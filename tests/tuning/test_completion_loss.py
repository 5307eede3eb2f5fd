"""The loss: against a loop in float64 over the whole logits, packed and not, in one piece and in several."""

import numpy as np
import pytest
import torch

from base.faults import WrongUse
from tuning.base import check_packing, load_weights
from tuning.losses import answer_log_probability, completion_loss
from tuning.packing import collate
from tuning.tokens import tokenise


@pytest.fixture(scope="module")
def model(tiny):
    return load_weights(tiny).eval()


@pytest.fixture(scope="module")
def examples(base, sums):
    return [tokenise(base.tokens, said, base.ends) for said in sums[:6]]


def by_hand(model, examples) -> float:
    """-log P of every token of every answer, one example at a time, in float64, by the definition of softmax."""
    found, count = 0.0, 0
    for one in examples:
        with torch.inference_mode():
            logits = model(torch.tensor([one.ids.tolist()]), use_cache=False).logits[0].double().numpy()
        for place in range(one.prompt, len(one)):
            row = logits[place - 1]
            found -= row[one.ids[place]] - row.max() - np.log(np.exp(row - row.max()).sum())
            count += 1
    return found / count


def loss_of(model, rows, pad=1) -> float:
    batch = collate(rows, pad)
    labels = batch.pop("labels")
    with torch.inference_mode():
        return float(completion_loss(model(**batch).logits, labels, int((labels != -100).sum())))


def test_the_masked_loss_is_the_mean_over_the_answers_tokens_and_nothing_else(model, examples):
    assert loss_of(model, [[one] for one in examples]) == pytest.approx(by_hand(model, examples), rel=1e-5)
    # The prompt counts for nothing: with it among the learnt tokens the loss would be another.
    everything = [type(one)(one.ids, 1) for one in examples]
    assert abs(by_hand(model, everything) - by_hand(model, examples)) > 0.1


def test_packed_examples_have_the_loss_of_separate_ones(model, examples):
    packed = [[*examples[:3]], [*examples[3:5]], [examples[5]]]

    assert loss_of(model, packed) == pytest.approx(by_hand(model, examples), rel=1e-5)
    assert loss_of(model, [examples[::-1]]) == pytest.approx(by_hand(model, examples), rel=1e-5)


def test_halves_of_a_step_add_up_to_the_whole(model, examples):
    rows, total = [[one] for one in examples], sum(len(one) - one.prompt for one in examples)

    def part(some):
        batch = collate(some, 1)
        labels = batch.pop("labels")
        with torch.inference_mode():
            return float(completion_loss(model(**batch).logits, labels, total))

    assert part(rows[:1]) + part(rows[1:]) == pytest.approx(by_hand(model, examples), rel=1e-5)


def test_the_probability_of_an_answer_is_the_product_over_its_tokens(model, examples):
    batch = collate([[one] for one in examples], 1)
    labels = batch.pop("labels")
    with torch.inference_mode():
        logs = answer_log_probability(model(**batch).logits, labels)

    wanted = [-by_hand(model, [one]) * (len(one) - one.prompt) for one in examples]
    assert logs.tolist() == pytest.approx(wanted, rel=1e-5)


def test_a_model_that_lets_packed_examples_see_each_other_is_refused(tiny, examples):
    rows = [[examples[0]], examples[1:4]]
    sound, leaking = load_weights(tiny), load_weights(tiny)
    leaking.config.use_cache = True  # with a cache transformers does not look at where positions begin anew

    check_packing(sound, rows, 1, at_once=2)
    check_packing(leaking, rows[:1], 1, at_once=2)  # nothing is packed, nothing can leak

    with pytest.raises(WrongUse, match="packed examples see each other in this model\n  add --no-pack"):
        check_packing(leaking, rows, 1, at_once=2)
    assert sound.training == leaking.training
