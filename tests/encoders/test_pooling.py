"""K7: a pooled vector depends on its own tokens alone; every pooling against a NumPy reference."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.pooling import masked_mean, pool
from encoders.protocol import PoolingName

POOLINGS = get_args(PoolingName)
LAYERS, WIDTH = 4, 3


def reference(states: np.ndarray, pooling: str) -> np.ndarray:
    """The six formulas for one text without padding: [L, t, d] -> [d]."""
    first, last = states[1], states[-1]
    if pooling == "cls":
        return last[0]
    if pooling == "last_token":
        return last[-1]
    if pooling == "first_last_mean":
        return (first.mean(axis=0) + last.mean(axis=0)) / 2
    if pooling == "top_two_mean":
        return (states[-2].mean(axis=0) + last.mean(axis=0)) / 2
    if pooling == "position_weighted_mean":
        weights = np.arange(1, len(last) + 1)
        return (last * weights[:, None]).sum(axis=0) / weights.sum()
    return last.mean(axis=0)


def batch(texts: list[np.ndarray], length: int, side: str, junk: float) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Pad texts to a length; the padding holds junk that must never count."""
    states = np.full((LAYERS, len(texts), length, WIDTH), junk)
    mask = np.zeros((len(texts), length), dtype=np.int64)
    for place, text in enumerate(texts):
        size = text.shape[1]
        where = slice(0, size) if side == "right" else slice(length - size, length)
        states[:, place, where], mask[place, where] = text, 1
    return [torch.tensor(layer) for layer in states], torch.tensor(mask)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    extra=st.integers(0, 4),
    side=st.sampled_from(["left", "right"]),
    pooling=st.sampled_from(POOLINGS),
    seed=st.integers(0, 2**16),
)
def test_a_pooled_vector_is_that_of_its_text_alone_whatever_the_padding_and_the_batch(
    lengths, extra, side, pooling, seed
):
    generator = np.random.default_rng(seed)
    texts = [generator.normal(size=(LAYERS, length, WIDTH)) for length in lengths]

    found = pool(*batch(texts, max(lengths) + extra, side, junk=1e3), pooling).numpy()

    assert found == pytest.approx(np.stack([reference(text, pooling) for text in texts]), abs=1e-9)


def test_position_weights_by_hand():
    # two tokens 1 and 4, weights 1 and 2: (1 * 1 + 2 * 4) / 3 = 3
    layers = [torch.zeros(1, 3, 1), torch.tensor([[[1.0], [4.0], [9.0]]])]

    assert pool(layers, torch.tensor([[1, 1, 0]]), "position_weighted_mean").item() == pytest.approx(3.0)
    # padded on the left the same text still has weights 1 and 2
    layers = [torch.zeros(1, 3, 1), torch.tensor([[[9.0], [1.0], [4.0]]])]
    assert pool(layers, torch.tensor([[0, 1, 1]]), "position_weighted_mean").item() == pytest.approx(3.0)


def test_a_text_without_tokens_gives_zeros_and_no_nan():
    assert masked_mean(torch.ones(1, 2, 3), torch.zeros(1, 2)).tolist() == [[0.0, 0.0, 0.0]]


def test_the_six_poolings_differ_on_an_ordinary_text():
    text = np.random.default_rng(0).normal(size=(LAYERS, 5, WIDTH))

    vectors = [tuple(pool(*batch([text], 5, "right", 0.0), pooling)[0].tolist()) for pooling in POOLINGS]

    assert len(set(vectors)) == len(POOLINGS) == 6
