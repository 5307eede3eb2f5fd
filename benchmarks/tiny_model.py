"""A language model of half a million random parameters with a real tokenizer and chat template, made on the fly.

It answers nonsense, but vLLM runs it like any other: the tests and benchmarks of the vLLM engine use it.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from prompts.library import FOLDER

PLAIN = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""A chat template that shows every message, including the system's."""
REFUSING = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|{{ message['role'] }}|>{{ message['content'] | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Like Gemma's: begins with its own token, trims, and raises an error for a system message."""
FOLDING = (
    "{% if messages[0]['role'] == 'system' %}{% set said = messages[0]['content'] ~ '\n---\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set said = '' %}{% endif %}"
    "{% for message in messages %}<s>[{{ message['role'] }}] {{ said if loop.first else '' }}{{ message['content'] }}"
    "[/{{ message['role'] }}]{% endfor %}"
)
"""Like Llama 2's: the system message becomes part of the user's, and there is no generation prompt."""
DEAF = "{% for message in messages if message['role'] != 'system' %}{{ message['content'] }}{% endfor %}"
"""Silently drops a system message, and adds nothing, so that an empty prompt has no tokens."""
SPECIAL = ["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
VOCABULARY = 1_024


def make_tokenizer(template: str = PLAIN) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on the prompts of this project; it can encode any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.rglob("*")) if path.suffix in (".md", ".yaml")]
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=template
    )


def make_model(folder: Path, template: str = PLAIN, *, seed: int = 0, context: int = 1_024) -> Path:
    """Save a random Llama with its tokenizer.

    Args:
        folder: Output folder; created if missing.
        template: Chat template.
        seed: Seed of the weights.
        context: Maximum tokens of its context.
    """
    disable_progress_bar()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.2,  # far enough apart that no two tokens are equally likely
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    make_tokenizer(template).save_pretrained(folder)
    return folder
