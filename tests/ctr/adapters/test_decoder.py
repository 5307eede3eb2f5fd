"""The decoder: each part equals an independent NumPy one, places see no later place, and reading some changes none."""

import numpy as np
import pytest
import torch

from ctr.adapters.decoder import EPSILON, Attention, Decoder, SwiGLU, rotate, rotation

LENGTH, WIDTH, HEADS, HIDDEN = 7, 12, 3, 5
EVERY = slice(None)


def arrays(module):
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}


def norm_of(x, gain):
    return gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + EPSILON)


def turned(vector, place):
    """One head at one place, pair by pair, as rotations of the plane."""
    out = np.empty_like(vector)
    for pair in range(len(vector) // 2):
        angle = place / 10_000 ** (2 * pair / len(vector))
        rotation_of_pair = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        out[2 * pair : 2 * pair + 2] = rotation_of_pair @ vector[2 * pair : 2 * pair + 2]
    return out


def attention_of(x, w, prefix, heads):
    """[T, D] -> [T, D], one head and one place at a time."""
    size = x.shape[1] // heads
    query, key, value = (x @ w[f"{prefix}{name}.weight"].T for name in ("query", "key", "value"))
    joined = np.zeros_like(x)
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        for place in range(len(x)):
            seen = range(place + 1)
            score = np.array([turned(query[place, own], place) @ turned(key[s, own], s) for s in seen]) / np.sqrt(size)
            weight = np.exp(score - score.max())
            joined[place, own] = (weight / weight.sum()) @ value[: place + 1, own]
    return joined @ w[f"{prefix}out.weight"].T


def swiglu_of(x, w, prefix):
    gate, value = (x @ w[f"{prefix}{name}.weight"].T for name in ("gate", "value"))
    return (gate / (1 + np.exp(-gate)) * value) @ w[f"{prefix}out.weight"].T


def decoder_of(x, w, layers, heads):
    for layer in range(layers):
        of = f"layers.{layer}."
        x = x + attention_of(norm_of(x, w[f"{of}before_attention.weight"]), w, f"{of}attention.", heads)
        x = x + swiglu_of(norm_of(x, w[f"{of}before_perceptron.weight"]), w, f"{of}perceptron.")
    return norm_of(x, w["norm.weight"])


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = Decoder(LENGTH, WIDTH, layers=2, heads=HEADS, hidden=HIDDEN)
    with torch.no_grad():  # gains of one would hide a forgotten gain
        for value in made.parameters():
            if value.ndim == 1:
                value.uniform_(0.5, 1.5)
            else:
                value.mul_(3)
    return made


@pytest.fixture
def tokens():
    return torch.randn(4, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))


def test_a_pair_is_turned_by_its_place_by_hand():
    # Width 4: pair 0 turns by 1 a place, pair 1 by 1 / 10000^(1/2) = 0.01. At place 2: by 2, and by 0.02.
    states = torch.tensor([1.0, 0.0, 0.0, 1.0]).expand(1, 3, 1, 4)

    out = rotate(states, rotation(3, 4))[0, :, 0]

    assert out[0].tolist() == [1, 0, 0, 1]
    assert out[2].tolist() == pytest.approx([np.cos(2), np.sin(2), -np.sin(0.02), np.cos(0.02)])


def test_inner_products_of_turned_vectors_depend_on_the_distance_of_places_alone():
    query, key = torch.randn(2, 8)
    turn = rotation(10, 8)
    queries, keys = (rotate(one.expand(1, 10, 1, 8), turn)[0, :, 0] for one in (query, key))

    product = queries @ keys.T  # [10, 10]

    for distance in range(-9, 10):
        diagonal = product.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-4)
    assert not torch.isclose(product[0, 1], product[0, 3])


def test_attention_equals_a_loop_over_heads_and_places(tokens):
    torch.manual_seed(2)
    module = Attention(WIDTH, HEADS)

    found = module(tokens, rotation(LENGTH, WIDTH // HEADS), EVERY).detach().numpy()

    for row in range(len(tokens)):
        expected = attention_of(tokens[row].double().numpy(), arrays(module), "", HEADS)
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_swiglu_equals_its_formula(tokens):
    torch.manual_seed(3)
    module = SwiGLU(WIDTH, HIDDEN)

    found = module(tokens).detach().numpy()

    np.testing.assert_allclose(found[0], swiglu_of(tokens[0].double().numpy(), arrays(module), ""), atol=1e-5)


def test_swiglu_worked_out_by_hand():
    module = SwiGLU(1, 1)
    with torch.no_grad():
        module.gate.weight.fill_(2)
        module.value.weight.fill_(3)
        module.out.weight.fill_(10)

    # gate 2 * 0.5 = 1, value 3 * 0.5 = 1.5: 10 * 1.5 * 1 / (1 + e^-1)
    assert module(torch.tensor([[0.5]])).item() == pytest.approx(15 / (1 + np.exp(-1)))


def test_the_decoder_equals_numpy(model, tokens):
    found = model(tokens, EVERY).detach().numpy()

    for row in range(len(tokens)):
        expected = decoder_of(tokens[row].double().numpy(), arrays(model), 2, HEADS)
        np.testing.assert_allclose(found[row], expected, atol=1e-4)


def test_hidden_states_are_normalised(model, tokens):
    hidden = model(tokens, EVERY) / model.norm.weight

    torch.testing.assert_close(hidden.square().mean(-1), torch.ones(4, LENGTH), atol=1e-4, rtol=0)


@pytest.mark.parametrize("read", [slice(0, None, 3), slice(-1, None), slice(2, 5), EVERY])
def test_reading_some_places_changes_none_of_them(model, tokens, read):
    torch.testing.assert_close(model(tokens, read), model(tokens, EVERY)[:, read], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("place", range(LENGTH))
def test_a_place_changes_itself_and_later_ones_and_no_earlier_one(model, tokens, place):
    changed = tokens.clone()
    changed[:, place] += 1

    before, after = model(tokens, EVERY), model(changed, EVERY)

    assert torch.equal(after[:, :place], before[:, :place])
    assert not torch.isclose(after[:, place:], before[:, place:]).all(dim=-1).any()


def test_the_order_of_places_matters(model, tokens):
    turned_around = tokens.flip(1)

    assert not torch.isclose(model(turned_around, EVERY).sum(1), model(tokens, EVERY).sum(1)).all()


def test_samples_do_not_see_each_other(model, tokens):
    alone = torch.cat([model(one[None], EVERY) for one in tokens])

    torch.testing.assert_close(alone, model(tokens, EVERY), atol=1e-5, rtol=1e-5)


def test_the_published_sizes_are_the_default():
    model = Decoder(13)

    assert len(model.layers) == 2
    assert sum(p.numel() for p in model.parameters()) == 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
    assert model(torch.zeros(3, 13, 32), slice(-1, None)).isfinite().all()
