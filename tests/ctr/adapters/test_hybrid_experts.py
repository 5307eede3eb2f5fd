"""KAR's hybrid experts: gates, gradients and the forward pass as the paper has them (K4, K5, K6, K10)."""

import numpy as np
import pytest
import torch

from base.faults import WrongUse
from ctr.adapters.hybrid_experts import HIDDEN, HybridExperts, prepare
from ctr.backbones.perceptron import perceptron

WIDTHS = {"kar_user/dense": 6, "kar_item/dense": 6}
USER, ITEM = 0, 1
OUT = HIDDEN[-1]


def made_views(rows=9, width=6, known=None):
    there = torch.ones(rows, dtype=torch.bool) if known is None else known
    return {name: (torch.randn(rows, width) * there.unsqueeze(-1), there) for name in WIDTHS}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return HybridExperts(WIDTHS, shared=2, dedicated=3)


def gradient(module):
    """Largest gradient of a module's parameters; None when it got none."""
    found = [p.grad.abs().max().item() for p in module.parameters() if p.grad is not None]
    return max(found) if found else None


def test_gate_weights_are_positive_sum_to_one_and_are_as_many_as_experts(model):
    weights = model.sides[USER].weights(torch.randn(20, 6) * 10)

    assert weights.shape == (20, 2 + 3)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(20))


def test_gate_and_output_of_a_side_ignore_the_other_side(model):
    views = made_views()
    changed = views | {"kar_item/dense": (torch.randn(9, 6), torch.ones(9, dtype=torch.bool))}

    before, after = model(views), model(changed)

    assert torch.equal(after[:, :OUT], before[:, :OUT])
    assert not torch.isclose(after[:, OUT:], before[:, OUT:]).all()


def test_a_loss_on_one_side_reaches_the_shared_experts_and_its_own_alone(model):
    for side, other in ((USER, ITEM), (ITEM, USER)):
        model.zero_grad(set_to_none=True)

        model(made_views())[:, side * OUT : (side + 1) * OUT].sum().backward()

        assert gradient(model.sides[other].dedicated) in (None, 0)
        assert gradient(model.sides[other].gate) in (None, 0)
        assert gradient(model.sides[other].missing) in (None, 0)
        assert gradient(model.sides[side].gate) > 0
        for expert in (*model.shared, *model.sides[side].dedicated):
            assert gradient(expert) > 0


def test_a_loss_on_both_sides_reaches_every_expert(model):
    model(made_views()).sum().backward()

    for expert in (*model.shared, *model.sides[USER].dedicated, *model.sides[ITEM].dedicated):
        assert gradient(expert) > 0


def test_no_shared_and_one_dedicated_expert_is_a_plain_perceptron():
    torch.manual_seed(1)
    model, plain = HybridExperts({"user": 4, "item": 7}, shared=0, dedicated=1), perceptron(4, HIDDEN)
    plain.load_state_dict(model.sides[USER].dedicated[0].state_dict())
    vector, there = torch.randn(5, 4), torch.ones(5, dtype=torch.bool)

    out = model({"user": (vector, there), "item": (torch.randn(5, 7), there)})

    assert torch.equal(out[:, :OUT], plain(vector))
    assert out.shape == (5, model.width) == (5, 64)


def test_the_forward_pass_equals_numpy(model):
    with torch.no_grad():
        for side in model.sides:
            side.missing.vector.normal_()
    known = torch.tensor([True, False, True, True, False])
    views = made_views(5, known=known)
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def expert(prefix, x):
        hidden = np.maximum(w[f"{prefix}.0.weight"] @ x + w[f"{prefix}.0.bias"], 0)
        return np.maximum(w[f"{prefix}.2.weight"] @ hidden + w[f"{prefix}.2.bias"], 0)

    found = model(views).detach().numpy()

    for row in range(5):
        for side, name in enumerate(WIDTHS):
            x = views[name][0][row].double().numpy() if known[row] else w[f"sides.{side}.missing.vector"]
            score = np.exp(w[f"sides.{side}.gate.weight"] @ x + w[f"sides.{side}.gate.bias"])
            alpha = score / score.sum()
            prefixes = [f"shared.{s}" for s in range(2)] + [f"sides.{side}.dedicated.{d}" for d in range(3)]
            expected = sum(a * expert(prefix, x) for a, prefix in zip(alpha, prefixes, strict=True))
            np.testing.assert_allclose(found[row, side * OUT : (side + 1) * OUT], expected, atol=1e-5)


def test_the_published_sizes_are_the_default():
    model = HybridExperts(WIDTHS)

    assert (len(model.shared), len(model.sides[USER].dedicated), model.width) == (2, 5, 64)


def test_vectors_of_two_lengths_are_told_with_what_to_change():
    with pytest.raises(
        WrongUse, match=r"kar_user/lexical has 4, kar_item/lexical has 7\n  use vectors of the same length"
    ):
        HybridExperts({"kar_user/lexical": 4, "kar_item/lexical": 7})


def test_every_vector_is_a_side_of_its_own(world, samples):
    vectors = [world.knowledge(samples, encoder=encoder) for encoder in ("dense", "lexical")]
    vectors.append(world.knowledge(samples, "user"))

    views = prepare(vectors, samples, 3)

    assert list(views) == ["kar_item/dense", "kar_item/lexical", "kar_user/dense"]
    assert HybridExperts({name: view.width for name, view in views.items()}).width == 3 * OUT
