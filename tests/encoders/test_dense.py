"""The dense encoder: vectors depend on neither batch nor order; every pooling (K7) against a NumPy reference."""

import shutil
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from base.faults import WrongUse
from base.progress import silent
from encoders.dense import DenseEncoder, masked_mean, pool
from encoders.layers.onednn import multiplies_bfloat16
from encoders.protocol import PoolingName
from engines.model_folder import minilm_folder

POOLINGS = get_args(PoolingName)
TEXTS = [
    "A warm film.",
    "A long, slow and quiet film about a family that moves from one end of the country to the other, and back again.",
    "",
    "Noir.",
    "Naïve café — 東京",
    "A film about a heist that goes wrong, with a large cast and a small budget.",
]


def encoder(pooling: PoolingName = "mean", batch_size: int = 32, max_tokens: int = 256) -> DenseEncoder:
    return DenseEncoder("all-MiniLM-L6-v2", pooling, max_tokens, batch_size)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_depend_on_neither_the_batch_size_nor_the_batch_mates(pooling):
    one_by_one = encoder(pooling, batch_size=1).encode(TEXTS, silent)
    together = encoder(pooling, batch_size=4)

    assert together.encode(TEXTS, silent) == pytest.approx(one_by_one, abs=2e-6)
    assert together.encode(TEXTS[::-1], silent)[::-1] == pytest.approx(one_by_one, abs=2e-6)
    assert together.encode(TEXTS[3:5], silent) == pytest.approx(one_by_one[3:5], abs=2e-6)


def test_mean_pooling_equals_sentence_transformers_own():
    reference = SentenceTransformer(str(minilm_folder())).encode(TEXTS, normalize_embeddings=True, batch_size=3)

    found = encoder().encode(TEXTS, silent)

    assert found.shape == (6, 384)
    assert found.dtype == np.float32
    assert found == pytest.approx(reference, abs=2e-6)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(6), abs=1e-5)


def test_a_long_text_is_cut_at_max_tokens():
    # eight tokens are [CLS], six words and [SEP]: what follows the sixth word cannot count
    short = encoder(max_tokens=8)

    one, other = short.encode(["one two three four five six seven", "one two three four five six eight nine"], silent)

    assert one == pytest.approx(other, abs=1e-6)


def test_no_text_at_all_gives_no_vector():
    assert encoder().encode([], silent).shape == (0, 384)


def test_the_fingerprint_tells_poolings_lengths_and_weights_apart_but_not_batch_sizes(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(minilm_folder(), copy)
    names = {encoder(pooling).fingerprint for pooling in POOLINGS} | {encoder(max_tokens=128).fingerprint}
    same = DenseEncoder(str(copy), "mean", 256, 7).fingerprint
    with next(copy.rglob("*.safetensors")).open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))

    assert len(names) == 7
    assert same == encoder(batch_size=1).fingerprint
    assert DenseEncoder(str(copy), "mean", 256, 7).fingerprint != same


def test_a_relative_model_is_looked_for_beside_knowflow_yaml(tmp_path):
    (tmp_path / "model").symlink_to(minilm_folder())

    assert DenseEncoder("model", "mean", 256, 32, tmp_path).fingerprint == encoder().fingerprint
    with pytest.raises(FileNotFoundError, match=r"model 'other': .*other holds no \.safetensors weights"):
        DenseEncoder("other", "mean", 256, 32, tmp_path)


def test_more_tokens_than_the_model_can_read_are_refused_before_anything_is_encoded():
    with pytest.raises(ValueError, match="max_tokens is 1000, but the model reads at most 512"):
        encoder(max_tokens=1000)


def test_batches_hold_texts_of_alike_numbers_of_tokens_whatever_their_characters(monkeypatch):
    # "a b c d" has more tokens than one long word has, and far fewer characters
    texts = ["a b c d", "international", "e f g h", "understanding"]
    two_a_batch, seen = encoder(batch_size=2), []
    forward = two_a_batch._forward
    monkeypatch.setattr(two_a_batch, "_forward", lambda batch: (seen.append(batch), forward(batch))[1])

    two_a_batch.encode(texts, silent)

    assert sorted([len(text["input_ids"]) for text in batch] for batch in seen) == [[3, 3], [6, 6]]


def half(**changes) -> DenseEncoder:
    return DenseEncoder("all-MiniLM-L6-v2", "mean", 256, 4, precision="bfloat16", **changes)


MULTIPLIES = pytest.mark.skipif(not multiplies_bfloat16("cpu"), reason="this processor does not multiply bfloat16")


@MULTIPLIES
def test_vectors_of_bfloat16_are_nearly_those_of_float32_and_have_a_fingerprint_of_their_own():
    whole, found = encoder(), half()

    cosines = (whole.encode(TEXTS, silent) * found.encode(TEXTS, silent)).sum(axis=1)

    assert cosines.min() > 0.999
    assert found.fingerprint != whole.fingerprint
    assert found.encode(TEXTS, silent).dtype == np.float32


@MULTIPLIES
def test_a_run_stops_where_vectors_of_bfloat16_are_not_those_of_float32(monkeypatch):
    broken = half()
    forward = broken._forward
    monkeypatch.setattr(broken, "_forward", lambda batch: forward(batch)[:, ::-1])  # another vector of norm 1

    with pytest.raises(WrongUse, match=r"'all-MiniLM-L6-v2': with precision bfloat16 .* cosine of .*, at least 0.99"):
        broken.encode(TEXTS, silent)


def test_a_run_stops_where_vectors_of_bfloat16_are_no_numbers(monkeypatch):
    broken = half()
    monkeypatch.setattr(broken, "_encode", lambda texts, progress: np.full((len(texts), 384), np.nan, np.float32))

    with pytest.raises(WrongUse, match="has a cosine of nan with that of float32"):
        broken.encode(TEXTS, silent)


def test_bfloat16_is_refused_where_nothing_multiplies_it(monkeypatch):
    monkeypatch.setattr("encoders.layers.onednn.multiplies_bfloat16", lambda device: False)

    with pytest.raises(WrongUse, match=r"the cpu of this machine does not multiply bfloat16\n  set precision: float32"):
        half().encode(TEXTS, silent)


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
