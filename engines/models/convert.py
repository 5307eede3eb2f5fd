"""Convert a GGUF file to an ordinary model folder: safetensors, config, tokenizer, chat template.

transformers reads the file. Quantised weights are written out as float32, which holds them exactly: they stay roundings
of the original's. What transformers would guess is checked or completed: weights that the file lacks (it draws them at
random), and how text is split before the vocabulary applies.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.faults import WrongUse
from base.progress import Progress
from engines.models.gguf_file import GgufFile

DIGITS = {"smollm", "starcoder", "refact", "command-r", "codeshell"}
"""`tokenizer.ggml.pre` of vocabularies with one token per digit: llama.cpp splits at each, then as GPT-2 does."""
AS_GPT2 = {"gpt-2", "phi-2"}
UNSAID = 1 << 40
"""A longest text of more tokens than this means that the tokenizer does not know."""
STEPS = 3


def convert(gguf: GgufFile, to: Path, progress: Progress) -> list[str]:
    """Write a model folder.

    Args:
        gguf: The file.
        to: Output folder, which exists.
        progress: Called with the number of finished steps.

    Returns:
        Sentences about what may differ from the original; usually none.

    Raises:
        WrongUse: transformers cannot read this architecture or tokenizer, or the file lacks weights or a template.
    """
    what = f"converting {gguf.path.name}"
    progress(what, 0, STEPS)
    tokenizer, notes = _tokenizer(gguf)
    tokenizer.save_pretrained(to)
    progress(what, 1, STEPS)
    model = _model(gguf)
    progress(what, 2, STEPS)
    _plain(model).save_pretrained(to)
    progress(what, STEPS, STEPS)
    return notes


def _tokenizer(gguf: GgufFile) -> tuple[Any, list[str]]:
    """Return the tokenizer, and what is not known about it."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds, and a list of models needs none

    beside = gguf.path.parent / "chat_template.jinja"
    template = gguf.template or (beside.read_text(encoding="utf-8") if beside.is_file() else "")
    if not template:
        raise WrongUse(
            f"{gguf.path} has no chat template: it is no model that answers questions\n"
            f"  use the instruct variant, or put its template beside the file, as {beside.name}"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.path.parent, gguf_file=gguf.path.name)
    except Exception as error:  # transformers raises whatever its reading met
        raise _cannot(gguf, "tokenizer", error) from error
    tokenizer.chat_template = template
    if gguf.context and tokenizer.model_max_length > UNSAID:
        tokenizer.model_max_length = gguf.context
    return tokenizer, _split_as_learnt(tokenizer, gguf)


def _split_as_learnt(tokenizer: Any, gguf: GgufFile) -> list[str]:
    """Split text before the vocabulary applies as the vocabulary was learnt, where transformers does not know how."""
    from tokenizers import pre_tokenizers  # noqa: PLC0415 - see above

    pre, split = gguf.metadata.get("tokenizer.ggml.pre"), tokenizer.backend_tokenizer.pre_tokenizer
    if not isinstance(split, pre_tokenizers.ByteLevel) or pre in AS_GPT2:  # transformers knows it, or it is GPT-2's
        return []
    if pre not in DIGITS:
        return [f"the file splits texts as '{pre}', which is not known here: other tokens may come of a text"]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return []


def _model(gguf: GgufFile) -> Any:
    """Return the model, its weights unpacked."""
    import torch  # noqa: PLC0415 - takes seconds, and a list of models needs none
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    try:
        read: Any = AutoModelForCausalLM.from_pretrained(
            gguf.path.parent, gguf_file=gguf.path.name, dtype=getattr(torch, gguf.dtype), output_loading_info=True
        )
        model, found = read
    except Exception as error:  # transformers raises whatever its reading met
        raise _cannot(gguf, "model", error) from error
    wrong = sorted({str(name) for part in ("missing_keys", "mismatched_keys") for name in found.get(part, ())})
    if wrong:
        raise WrongUse(f"{gguf.path} lacks weights, or has them in other sizes: {_some(wrong)}\n  get the file again")
    return model


def _plain(model: Any) -> Any:
    """Return the same model without a mark of GGUF, which transformers refuses to save."""
    import torch  # noqa: PLC0415 - see above

    settings = model.config.to_dict()
    for name in ("quantization_config", "_model_name_or_path"):
        settings.pop(name, None)
    with torch.device("meta"):  # no weights are drawn that are replaced at once
        plain = type(model)(type(model.config).from_dict(settings))
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain


def _cannot(gguf: GgufFile, what: str, error: Exception) -> WrongUse:
    why = " ".join(str(error).split()) or type(error).__name__
    return WrongUse(
        f"{gguf.path}: transformers cannot read its {what} (architecture {gguf.architecture}): {why}\n"
        "  use a folder with safetensors of this model, or a model of another architecture"
    )


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
