"""HSTU: each layer equals the paper's formula, one place and one pair at a time; nothing sees what comes later."""

import numpy as np
import torch

from ctr.backbones.hstu import BUCKETS, HSTU, Layer

FIELDS, WIDTH, DENSE, EVENTS = 4, 3, 2, 5
PLACES = 2 * EVENTS + 1


def model_of(seed=0):
    torch.manual_seed(seed)
    model = HSTU(FIELDS, WIDTH, DENSE, events=EVENTS, layers=2, hidden=(6, 3))
    for name, parameter in model.named_parameters():
        if name.endswith(("position", "time")):  # as large as training would make them
            torch.nn.init.normal_(parameter)
    return model


def silu(x):
    return x / (1 + np.exp(-x))


def norm(x, w, prefix):
    mean, deviation = x.mean(), np.sqrt(x.var() + 1e-5)
    return (x - mean) / deviation * w[f"{prefix}.weight"] + w[f"{prefix}.bias"]


def one_layer(places, ages, there, w, prefix):
    """[n, d] -> [n, d]; n lies in `there`."""
    count, width = places.shape
    whole = [silu(w[f"{prefix}.into.weight"] @ norm(x, w, f"{prefix}.norm") + w[f"{prefix}.into.bias"]) for x in places]
    gate, value, query, key = (np.array(whole)[:, part * width : (part + 1) * width] for part in range(4))
    out = []
    for i in range(count):
        mixed = np.zeros(width)
        for j in range(i + 1):
            if there[j]:
                bucket = min(int(np.log(max(ages[j] - ages[i], 1)) / 0.301), BUCKETS - 1)
                score = query[i] @ key[j] + w[f"{prefix}.position"][i - j] + w[f"{prefix}.time"][bucket]
                mixed += silu(score) / count * value[j]
        gated = norm(mixed, w, f"{prefix}.norm_out") * gate[i]
        out.append(w[f"{prefix}.out.weight"] @ gated + w[f"{prefix}.out.bias"] + places[i])
    return np.array(out)


def test_hstu_equals_the_paper_s_formula(world, numbers):
    states, model = world.states(), model_of()
    w, past = numbers.arrays(model), states.past

    found = model(states)

    last = []
    for row in range(len(states.fields)):
        places, ages, there = [], [], []
        for event in range(EVENTS):
            action = w["action.weight"][:, 0] * past.rating[row, event].item() + w["action.bias"]
            places += [past.events[row, event].double().numpy(), action]
            ages += [past.age[row, event].item()] * 2
            there += [past.mask[row, event].item() == 1] * 2
        places, ages, there = [*places, states.target[row].double().numpy()], [*ages, 0], [*there, True]
        for number in range(2):
            places = one_layer(np.array(places), ages, there, w, f"layers.{number}")
        last.append(places[-1])
    flat = states.fields.flatten(1).double().numpy()
    start = np.concatenate([flat, np.array(last), states.dense.double().numpy()], axis=1)
    deep = numbers.dense_layers(start, w, "deep", 2)
    numbers.check_close(found, deep @ w["out.weight"][0] + w["out.bias"][0])


def test_a_place_does_not_see_what_comes_later(world):
    states, model = world.states(), model_of()
    places, bucket, seen = model.sequence(states.target, states.past)
    changed = places.clone()
    changed[:, 7:] += 1

    before, after = (model.layers[0](x, bucket, seen, last=False) for x in (places, changed))

    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).all(dim=-1).all()


def test_the_last_place_alone_equals_the_last_of_all(world):
    states, model = world.states(), model_of()
    places, bucket, seen = model.sequence(states.target, states.past)

    alone, whole = (model.layers[0](places, bucket, seen, last=last) for last in (True, False))

    torch.testing.assert_close(alone[:, 0], whole[:, -1])


def test_both_biases_and_the_lack_of_a_softmax_matter(world):
    states, model = world.states(), model_of()
    logits = model(states)

    for name in ("position", "time"):
        without = model_of()
        for layer in without.layers:
            torch.nn.init.zeros_(getattr(layer, name))
        assert not torch.isclose(without(states), logits)[1:].all()
    # one more event like another adds to the sum; a softmax would share the same weight
    layer = Layer(WIDTH, PLACES)
    places, bucket = (
        torch.randn(1, 1, WIDTH).expand(1, PLACES, WIDTH),
        torch.zeros(1, PLACES, PLACES, dtype=torch.int64),
    )
    torch.nn.init.zeros_(layer.position)
    mixed = []
    layer.norm_out = torch.nn.Identity()
    for count in (1, 2):
        seen = (torch.arange(PLACES) < count).float().expand(1, PLACES, PLACES)
        mixed.append(layer(places, bucket, seen, last=True) - places[:, -1:] - layer.out.bias)
    torch.testing.assert_close(mixed[1], 2 * mixed[0])


def test_the_target_has_no_action_and_time_counts_from_it(world):
    states = world.states(rows=4)
    places, bucket, seen = model_of().sequence(states.target, states.past)

    assert places.shape == (4, PLACES, WIDTH)
    torch.testing.assert_close(places[:, -1], states.target)
    torch.testing.assert_close(places[:, 0:-1:2], states.past.events)
    expected = int(np.log(states.past.age[1, -1].item()) / 0.301)
    assert bucket[1, -1, -2].item() == bucket[1, -1, -3].item() == expected  # the newest action and its item
    assert seen[0].sum().item() == 1  # without a past the target sees itself alone, and nothing else sees anything
