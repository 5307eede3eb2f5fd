"""Backbones: each formula equals an independent one in NumPy, a loop or scikit-learn; masked events count nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from base.plugins import find
from ctr.backbones.dcnv2 import DCNv2
from ctr.backbones.deepfm import DeepFM, pairs
from ctr.backbones.din import DIN
from ctr.backbones.lr import LR
from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import BACKBONES, choose_backbone
from ctr.batch import Batches, States
from ctr.model import build_model

FIELDS, WIDTH, DENSE, EVENTS = 4, 3, 2, 5
SMALL = {"hidden": (6, 3)}
NAMES = {"autoint", "blend", "dcnv2", "deepfm", "din", "finalmlp", "fm", "gbdt", "gdcn", "hstu", "lr", "sim"}


def test_every_name_of_the_settings_is_a_backbone():
    assert set(find(BACKBONES)) == NAMES


def test_a_perceptron_is_linear_layers_with_relu_after_each(numbers):
    torch.manual_seed(0)
    module = perceptron(5, (4, 2))
    values = torch.randn(3, 5)
    weights = {f"p.{name}": value for name, value in numbers.arrays(module).items()}

    numbers.check_close(module(values), numbers.dense_layers(values.double().numpy(), weights, "p", 2))


def test_dcnv2_crosses_equal_the_paper_s_formula(world, numbers):
    torch.manual_seed(1)
    states, model = world.states(), DCNv2(FIELDS, WIDTH, DENSE, crosses=3, **SMALL)
    w = numbers.arrays(model)

    found = model(states)

    start = numbers.start_of(states)
    crossed = start
    for layer in range(3):  # x_{l+1} = x_0 * (W x_l + b) + x_l, one sample and one output at a time
        matrix, bias = w[f"crosses.{layer}.weight"], w[f"crosses.{layer}.bias"]
        crossed = np.array(
            [
                [x0[i] * (sum(matrix[i, j] * x[j] for j in range(len(x))) + bias[i]) + x[i] for i in range(len(x))]
                for x0, x in zip(start, crossed, strict=True)
            ]
        )
    both = np.concatenate([crossed, numbers.dense_layers(start, w, "deep", 2)], axis=1)
    numbers.check_close(found, (both @ w["out.weight"].T + w["out.bias"])[:, 0])


def test_a_cross_layer_worked_out_by_hand():
    model = DCNv2(1, 1, 1, crosses=1, hidden=(1,))
    with torch.no_grad():
        model.crosses[0].weight.copy_(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        model.crosses[0].bias.copy_(torch.tensor([0.5, -1.0]))
        model.out.weight.copy_(torch.tensor([[1.0, 10.0, 0.0]]))
        model.out.bias.zero_()
    zeros = torch.zeros(1, 1, 1)

    logit = model(States(torch.tensor([[[2.0]]]), torch.tensor([[3.0]]), zeros[0], zeros, zeros[0], zeros[0]))

    # x0 = (2, 3): W x0 + b = (2 + 6 + 0.5, 3 - 1) = (8.5, 2); x0 * that + x0 = (19, 9); 19 + 10 * 9 = 109
    assert logit.item() == pytest.approx(109)


def test_deepfm_pairs_equal_the_double_loop(world):
    fields = world.states().fields

    found = pairs(fields)

    for row, vectors in enumerate(fields.double().numpy()):
        expected = sum(vectors[i] @ vectors[j] for i in range(FIELDS) for j in range(i + 1, FIELDS))
        assert found[row].item() == pytest.approx(expected, abs=1e-5)


def test_deepfm_adds_first_order_pairs_and_perceptron(world, numbers):
    torch.manual_seed(2)
    states, model = world.states(), DeepFM(FIELDS, WIDTH, DENSE, **SMALL)
    w, start = numbers.arrays(model), numbers.start_of(states)

    linear = start @ w["first.weight"].T + w["first.bias"]
    deep = numbers.dense_layers(start, w, "deep", 2) @ w["out.weight"].T

    numbers.check_close(model(states), (linear + deep)[:, 0] + pairs(states.fields).numpy())


def test_din_attention_equals_a_loop_over_events(world, numbers):
    torch.manual_seed(3)
    states, model = world.states(), DIN(FIELDS, WIDTH, DENSE, attention=4, **SMALL)
    w = numbers.arrays(model)

    found = model(states)

    interests = []
    for row in range(len(states.fields)):
        target, interest = states.target[row].double().numpy(), np.zeros(WIDTH)
        for event in range(EVENTS):
            if states.history_mask[row, event] == 0:
                continue
            seen, rating = states.history[row, event].double().numpy(), states.history_rating[row, event].item()
            pair = np.concatenate([seen, target, seen * target, seen - target, [rating]])
            hidden = np.maximum(w["attention.0.0.weight"] @ pair + w["attention.0.0.bias"], 0)
            interest += (w["attention.1.weight"] @ hidden + w["attention.1.bias"])[0] * seen
        interests.append(interest)
    flat = states.fields.flatten(1).double().numpy()
    start = np.concatenate([flat, np.array(interests), states.dense.double().numpy()], axis=1)
    numbers.check_close(found, (numbers.dense_layers(start, w, "deep", 2) @ w["out.weight"].T + w["out.bias"])[:, 0])


def test_din_gives_masked_events_no_weight(world):
    torch.manual_seed(4)
    states, model = world.states(), DIN(FIELDS, WIDTH, DENSE, **SMALL)
    hidden = (states.history_mask == 0).unsqueeze(-1)

    masked = model(replace(states, history=torch.where(hidden, 1e3, states.history)))
    shown = model(replace(states, history=torch.where(hidden, states.history, 1e3)))

    assert torch.equal(masked, model(states))
    assert not torch.isclose(shown, model(states))[1:].any()  # row 0 has no history


def test_lr_equals_scikit_learn_with_the_same_weights(world, numbers):
    states = world.states(rows=60)
    start = numbers.start_of(states)
    fitted = LogisticRegression().fit(start, (start[:, 0] + start[:, -1] > 0).astype(int))
    model = LR(FIELDS, WIDTH, DENSE)
    with torch.no_grad():
        model.out.weight.copy_(torch.from_numpy(fitted.coef_))
        model.out.bias.copy_(torch.from_numpy(fitted.intercept_))

    numbers.check_close(model(states), fitted.decision_function(start))


@pytest.fixture(params=[name for name, one in find(BACKBONES).items() if not one.trees])
def backbone(request):
    return choose_backbone(request.param)


@pytest.fixture
def batches(backbone, samples):
    return Batches(samples, {}, backbone.past)


@pytest.fixture
def model(backbone, world, samples, batches):
    torch.manual_seed(5)
    built = build_model(backbone, world.fields(samples), batches.dense_width, {})
    for table in (built.fields.user, built.fields.item):  # as large as training would make them
        torch.nn.init.normal_(table.weight)
    return built.eval()


def test_logits_do_not_depend_on_batch_mates(model, batches, samples):
    rows = torch.arange(0, len(samples.user), 7)

    together = model(batches.take(rows))
    alone = torch.cat([model(batches.take(row[None])) for row in rows])
    turned = model(batches.take(rows.flip(0))).flip(0)

    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(turned, together, atol=1e-5, rtol=1e-5)
    assert together.shape == (len(rows),)


def test_places_where_the_history_has_no_event_change_no_logit(model, batches, samples):
    batch = batches.take(torch.arange(0, 800, 4))
    empty = batch.history_mask == 0
    assert (empty.any(dim=1) & ~empty.all(dim=1)).sum() > 5  # short histories
    assert empty.all(dim=1).any()

    poisoned = replace(batch, history=torch.where(empty, 7, batch.history))
    changed = replace(batch, history=torch.where(empty, batch.history, 7))

    assert torch.equal(model(poisoned), model(batch))
    assert (model(changed) != model(batch)).any()


def test_logits_change_with_every_part_of_a_sample(model, batches):
    batch = batches.take(torch.arange(400, 420))
    changes = {
        "user": (batch.user + 1) % 40,
        "item": (batch.item + 1) % 25,
        "categories": 1 - batch.categories,
        "dense": batch.dense + 1,
        "history": (batch.history + 1) % 25,
    }

    for name, value in changes.items():
        assert (model(replace(batch, **{name: value})) != model(batch)).any(), name


def test_a_past_is_read_by_those_that_ask_for_it_and_by_no_other(model, backbone, batches):
    batch = batches.take(torch.arange(500, 540))
    assert (batch.past is None) == (backbone.past is None)
    if batch.past is None:
        return
    empty = batch.past.mask == 0
    assert empty.any()
    assert not empty.all()
    changes = {"item": (batch.past.item + 1) % 25, "rating": batch.past.rating + 1, "age": batch.past.age * 64 + 64}

    for name, value in changes.items():
        old = getattr(batch.past, name)
        for where, changed in ((~empty, True), (empty, False)):
            past = replace(batch.past, **{name: torch.where(where, value, old)})
            assert bool((model(replace(batch, past=past)) != model(batch)).any()) == changed, (name, changed)
