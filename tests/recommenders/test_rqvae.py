"""RQ-VAE: the loss against NumPy, codes by hand, restarts, and what training must reach on vectors in clusters."""

import numpy as np
import pytest
import torch

from base.plugins import find
from base.progress import silent
from ctr.controls import choose_arms
from recommenders.code_maker import CODE_MAKERS
from recommenders.rqvae import MAKER, RQVAE, RQVAEOptions, make

SMALL = RQVAEOptions(levels=2, size=4, latent=3, hidden=(6,), epochs=60, batch=64, learning_rate=0.01)


@pytest.fixture
def vectors():
    """Sixteen places around four centres, ten rows at each place."""
    random = np.random.default_rng(0)
    centres, corners = 4 * random.normal(size=(4, 8)), random.normal(size=(4, 8))
    places = (centres[:, None] + corners[None]).reshape(16, 8)
    return (np.repeat(places, 10, axis=0) + 0.05 * random.normal(size=(160, 8))).astype(np.float32)


def network(seed: int = 0) -> RQVAE:
    torch.manual_seed(seed)
    return RQVAE(5, (4,), 3, 2, 6)


def reference(model: RQVAE, vectors: np.ndarray, beta: float) -> tuple[float, float, np.ndarray]:
    """The formula in NumPy, row by row."""
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in model.state_dict().items()}

    def mlp(part: str, x: np.ndarray) -> np.ndarray:
        hidden = np.maximum(weights[f"{part}.0.weight"] @ x + weights[f"{part}.0.bias"], 0)
        return weights[f"{part}.2.weight"] @ hidden + weights[f"{part}.2.bias"]

    losses, errors, codes = [], [], []
    for x in vectors.astype(np.float64):
        residual, total, parts, row = mlp("encoder", x), np.zeros(3), 0.0, []
        for book in weights["books"]:
            code = int(np.argmin(((residual - book) ** 2).sum(1)))
            parts += (beta + 1) * ((residual - book[code]) ** 2).sum()
            total, residual = total + book[code], residual - book[code]
            row.append(code)
        errors.append(((x - mlp("decoder", total)) ** 2).sum())
        losses.append(errors[-1] + parts)
        codes.append(row)
    return float(np.mean(losses)), float(np.mean(errors)), np.array(codes)


@pytest.mark.parametrize("beta", [0.25, 1.0])
def test_loss_and_codes_are_the_formula(beta):
    model, vectors = network(), np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)

    loss, error, codes, _ = model(torch.from_numpy(vectors), beta)

    expected = reference(model, vectors, beta)
    assert (loss.item(), error.item()) == pytest.approx(expected[:2], rel=1e-5)
    assert np.array_equal(codes.numpy(), expected[2])


def test_the_decoder_s_gradient_passes_the_codes_by_and_codes_learn_from_residuals_alone():
    model, vectors = network(), torch.randn(7, 5)
    _, error, codes, _ = model(vectors, 0.25)

    error.backward()

    assert model.books.grad is None or model.books.grad.abs().max() == 0
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in model.encoder.parameters())
    model.zero_grad()
    loss, _, codes, residuals = model(vectors, 0.0)
    loss.backward()
    # With beta 0 an entry is drawn to the mean of its rows: 2 / B sum (e - r).
    code = int(codes[0, 1])
    rows = residuals[codes[:, 1] == code, 1].detach()
    assert model.books.grad is not None
    assert torch.allclose(model.books.grad[1, code], 2 / 7 * (model.books[1, code] - rows).sum(0), atol=1e-5)


def test_codebooks_begin_as_the_means_of_what_they_quantise(vectors):
    torch.manual_seed(0)
    model = RQVAE(8, (6,), 3, 2, 4)
    data = torch.from_numpy(vectors)
    before = model(data, 0.25)[0].item()

    model.begin(data, 0)

    with torch.no_grad():
        codes, residuals, _ = model.quantise(model.encoder(data))
    for level in range(2):
        for code in codes[:, level].unique():
            mean = residuals[codes[:, level] == code, level].mean(0)
            assert torch.allclose(model.books[level, code], mean, atol=1e-2)
    assert model(data, 0.25)[0].item() < before


def test_codes_that_nobody_has_move_onto_residuals_and_others_stay():
    model = network()
    before, residuals = model.books.detach().clone(), torch.randn(5, 2, 3)
    used = torch.ones(2, 6, dtype=torch.bool)
    used[1, [0, 4]] = False

    model.restart(used, residuals)

    assert torch.equal(model.books[used], before[used])
    for moved in model.books[1, [0, 4]]:
        assert (residuals[:, 1] == moved).all(dim=1).any()


def test_reconstruction_falls_codes_are_used_and_ids_are_unique(vectors):
    made = make(vectors, SMALL, 0, silent)

    assert made.figures["error"] < 0.5 * made.figures["error_first_epoch"]
    assert made.figures["explained"] > 0.8
    assert min(made.figures["usage"]) > 0.8
    assert max(made.figures["entropy_bits"]) <= 2
    assert made.codes.shape == (160, 3)
    assert made.codes.dtype == np.int32
    assert len(np.unique(made.codes, axis=0)) == 160
    assert made.figures["collision_before"] > 0.9  # ten rows at every place
    assert made.figures["collision_after"] == 0
    # Rows of one centre share their first code.
    first = made.codes[:, 0].reshape(4, 40)
    assert np.mean([(row == np.bincount(row).argmax()).mean() for row in first]) > 0.9


def test_the_same_seed_gives_the_same_codes_and_fewer_rows_than_codes_are_well(vectors):
    one, other = make(vectors, SMALL, 3, silent), make(vectors, SMALL, 3, silent)
    few = make(vectors[:3], SMALL.model_copy(update={"epochs": 2}), 0, silent)

    assert np.array_equal(one.codes, other.codes)
    assert few.codes.shape == (3, 3)
    assert len(np.unique(few.codes, axis=0)) == 3


def test_the_maker_and_its_arm_are_found():
    arms = choose_arms(["semantic-ids", "semantic-ids-shuffled", "semantic-ids-random"], {})

    assert find(CODE_MAKERS)["rqvae"] is MAKER
    assert [arm.codes for arm in arms] == [(MAKER.name,)] * 3
    assert [arm.disturbance for arm in arms] == ["none", "shuffled", "random"]
