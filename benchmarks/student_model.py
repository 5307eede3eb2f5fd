"""A language model of about two million parameters, trained from scratch on given texts: no weights can be downloaded.

It writes sentences like its training texts, so tuning has something to change; the tuning benchmarks use it.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_model import PLAIN, SPECIAL
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from base.progress import silent
from tuning.base import Base, find_base, load_weights, save
from tuning.config import StepConfig
from tuning.packing import pack
from tuning.supervised import make_trainer
from tuning.tokens import Example

VOCABULARY = 4_096


def run(measure: Callable[[Path, float], dict[str, Any]]) -> None:
    """Read the command line, measure on one core, and print the results as one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, help="folder for the models and what they write")
    parser.add_argument("--scale", type=float, default=1.0, help="passes over the texts, relative to the full run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.out or Path(folder), given.scale)))


def make_student(folder: Path, texts: Sequence[str], prompts: Sequence[str], given: StepConfig, scale: float) -> Base:
    """Train tokenizer and model from scratch, two passes over the texts.

    Args:
        folder: Output folder.
        texts: Training texts.
        prompts: Examples of prompts, so that their words become tokens; they are not learned.
        given: Training settings; rate, warm-up and passes are overridden.
        scale: Passes, relative to two.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [*texts, *prompts],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    torch.manual_seed(0)
    size = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(size).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=PLAIN
    ).save_pretrained(folder)
    base = find_base(folder, {})
    settings = given.model_copy(update={"learning_rate": 2e-3, "warm_up": 0.05, "epochs": max(1, round(2 * scale))})
    ids = [np.array([0, *base.tokens.text_ids(text), 1], dtype=np.int32)[: settings.row_tokens] for text in texts]
    examples = [Example(one, 1) for one in ids]
    rows = [[examples[place] for place in row] for row in pack([len(one) for one in examples], settings.row_tokens)]
    model = load_weights(folder)
    with tempfile.TemporaryDirectory() as work:
        make_trainer(
            model, rows, base.pad, settings.model_copy(update={"save_every": 10**6}), Path(work), silent
        ).train()
    save(model, base, folder)
    return find_base(folder, {})
