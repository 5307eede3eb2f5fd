"""A tuned language model encodes notes alike in the trainer, in sentence-transformers and in vLLM."""

import json
import random
from dataclasses import asdict

import numpy as np
import pytest
import torch
from note_shop import CONFIG, FILMS, trainer_of

from base.progress import silent
from encoders.dense import DenseEncoder
from encoders.vllm import VllmEncoder
from prompts.notes import compression, note_text
from tuning.contrastive_steps import encode_prompts
from tuning.note_model import export

WORDS = [
    "bank",
    "detective",
    "heist",
    "family",
    "sorrow",
    "village",
    "tank",
    "trench",
    "soldier",
    "Amélie",
    "北野武",
    "x",
]


@pytest.mark.slow(reason="a model is tuned, exported and loaded by three libraries, vLLM among them")
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_trainer_sentence_transformers_and_vllm_give_one_vector_for_a_note(tiny, tmp_path, method):
    from sentence_transformers import SentenceTransformer

    config = CONFIG.model_copy(update={"method": method, "rank": 4, "dimension": 16, "learning_rate": 1e-2})
    trainer, model, *_ = trainer_of(tiny, config)
    for number in range(3):
        trainer.step(number)
    chance, out = random.Random(0), tmp_path / "out"
    notes = [
        note_text(" ".join(chance.choices(WORDS, k=place % 5 + 1)), " ".join(chance.choices(WORDS, k=place % 40)))
        for place in range(200)
    ]
    with torch.inference_mode():
        pooled = encode_prompts(model, [model.prompt(note) for note in notes], 16, silent)
        own = torch.nn.functional.normalize(model.projection(pooled), dim=1).numpy()
    wrapping = compression(FILMS)

    out.mkdir()
    export(model, out, tmp_path / "work")
    told = {"kind": "notellm", "seen_until": None, "wrapping": asdict(wrapping)}
    (out / "knowflow_tuning.json").write_text(json.dumps(told))

    tokenizer = SentenceTransformer(str(out), device="cpu").tokenizer
    found = {
        "sentence-transformers": SentenceTransformer(str(out), device="cpu").encode(
            [wrapping.wrap(note, tokenizer) for note in notes]
        ),
        "dense": DenseEncoder(str(out), "last_token", 512, 16).encode(notes, silent),
        "vllm": VllmEncoder(str(out), 512, 16, "float32", True).encode(notes, silent),
    }
    assert own.shape == (200, 16)
    assert np.linalg.norm(own[0] - own[1]) > 1e-2
    for name, vectors in found.items():
        assert (own * vectors).sum(axis=1).min() > 1 - 1e-4, name
