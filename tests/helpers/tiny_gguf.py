"""Writes small GGUF files with the writer of the package gguf, which knows nothing of our reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, get_tensor_name_map
from gguf.constants import MODEL_ARCH
from gguf.quants import quantize
from tiny_model import make_model, make_tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def tiny_llama(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A random Llama and its tokenizer, as transformers has them."""
    make_model(folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), make_tokenizer()


def write_gguf(
    path: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    kind: str = "F32",
    leave_out: str = "",
    **changes: Any,
) -> Path:
    """Write a GGUF file as llama.cpp's converter does.

    Args:
        path: The file.
        model: The model.
        tokenizer: Its tokenizer.
        kind: Type of the matrices: F32, F16, BF16, Q8_0, Q4_1.
        leave_out: Name of a tensor that the file lacks.
        changes: Keys with other values; None leaves a key out.
    """
    config = model.config
    writer = GGUFWriter(path, "llama")
    fields: dict[str, tuple[Callable[[Any], None], Any]] = {
        "name": (writer.add_name, "Tiny"),
        "license": (writer.add_license, "mit"),
        "context": (writer.add_context_length, config.max_position_embeddings),
        "width": (writer.add_embedding_length, config.hidden_size),
        "layers": (writer.add_block_count, config.num_hidden_layers),
        "inner": (writer.add_feed_forward_length, config.intermediate_size),
        "heads": (writer.add_head_count, config.num_attention_heads),
        "kv_heads": (writer.add_head_count_kv, config.num_key_value_heads),
        "epsilon": (writer.add_layer_norm_rms_eps, config.rms_norm_eps),
        "rope": (writer.add_rope_freq_base, config.rope_parameters["rope_theta"]),
        "vocabulary": (writer.add_vocab_size, config.vocab_size),
        "split_by": (writer.add_tokenizer_model, "gpt2"),
        "pre": (writer.add_tokenizer_pre, "gpt-2"),
        "tokens": (writer.add_token_list, _tokens(tokenizer)),
        "types": (writer.add_token_types, _types(tokenizer)),
        "merges": (writer.add_token_merges, _merges(tokenizer)),
        "bos": (writer.add_bos_token_id, tokenizer.bos_token_id),
        "eos": (writer.add_eos_token_id, tokenizer.eos_token_id),
        "template": (writer.add_chat_template, tokenizer.chat_template),
    }
    for name, (add, value) in fields.items():
        if (value := changes.pop(name, value)) is not None:
            add(value)
    for name, value in changes.items():
        writer.add_uint32(name, value)
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        stem, _, suffix = name.rpartition(".")
        of = f"{names.get_name(stem)}.{suffix}"
        if of != leave_out:
            _add(writer, of, _permuted(tensor.numpy(), of, config), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _permuted(weights: np.ndarray, name: str, config: Any) -> np.ndarray:
    """Order the rows of queries and keys as llama.cpp's rotary embedding wants them."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return weights
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weights.shape)


def _add(writer: GGUFWriter, name: str, weights: np.ndarray, kind: str) -> None:
    if weights.ndim == 1 or kind == "F32":
        writer.add_tensor(name, np.ascontiguousarray(weights))
    else:
        of = GGMLQuantizationType[kind]
        writer.add_tensor(name, quantize(np.ascontiguousarray(weights), of), raw_dtype=of)


def _tokens(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=lambda token: vocabulary[token])


def _types(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return 3 for a special token, 1 for a piece of text."""
    return [3 if place in tokenizer.added_tokens_decoder else 1 for place in range(len(tokenizer))]


def _merges(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    import json

    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    return [" ".join(merge) for merge in merges]
