"""The model to tune: its folder, its tokenizer, its weights, and its adapter."""

import inspect
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM

from base.faults import WrongUse
from engines.model_folder import fingerprint, missing_parts
from engines.vllm.tokens import ChatTokens
from tuning.config import StepConfig
from tuning.packing import Row, collate
from tuning.tokens import stops
from tuning.workfolder import RESULT

MOVED = 1e-2
"""How far an example's logits may move, in standard deviations, when its neighbour changes: only by rounding."""
LOOKED_AT = 64


@dataclass(frozen=True)
class Base:
    """A model on disk."""

    folder: Path
    """Its folder."""
    revision: str
    """Fingerprint of its files."""
    tokens: ChatTokens
    """Its tokenizer and chat template."""
    ends: frozenset[int]
    """Tokens that end its answers."""

    @property
    def pad(self) -> int:
        """Return the padding token; it is never learned and never attended to."""
        return min(self.ends)


def find_base(folder: Path, template: Mapping[str, Any]) -> Base:
    """Find a model's folder and read its tokenizer, but not its weights.

    Args:
        folder: Folder written by save_pretrained of model and tokenizer.
        template: Additional variables of the chat template, the same as when the model is asked.

    Raises:
        WrongUse: The folder has no model.
        EngineFault: Its tokenizer cannot be read or has no chat template.
    """
    folder = folder.resolve()
    if missing := missing_parts(folder):
        raise WrongUse(
            f"--model: {folder} holds no {' and no '.join(missing)}\n"
            "  set it to the folder that save_pretrained of the model and of its tokenizer wrote"
        )
    tokens = ChatTokens(str(folder), None, template)
    said = [_end_of(folder / name) for name in ("config.json", "generation_config.json")]
    ends = stops(tokens.tokenizer.eos_token_id, *said)
    if tokens.tokenizer.eos_token_id is None:
        raise WrongUse(f"--model: the tokenizer of {folder} has no eos_token to end an answer\n  add one")
    return Base(folder, fingerprint(folder), tokens, ends)


def _end_of(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None


def check_devices() -> None:
    """Check that there is at most one GPU: with several, transformers would split batches that belong together.

    Raises:
        WrongUse: There is more than one.
    """
    count = torch.cuda.device_count()
    if count > 1:
        raise WrongUse(
            f"there are {count} GPUs, but tuning uses one\n  choose it: CUDA_VISIBLE_DEVICES=0 knowflow tune ..."
        )


def load_weights(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Load a model for tuning: in one number format, without a cache, which would let packed examples see each other.

    Raises:
        WrongUse: transformers cannot load it, or it does not support `logits_to_keep`.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype)
    except Exception as error:
        raise WrongUse(f"--model: {folder} cannot be loaded: {error}") from error
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise WrongUse(
            f"--model: {type(model).__name__} does not support logits_to_keep\n  use an architecture that does"
        )
    model.config.use_cache = False
    return model


def prepare(base: Base, config: StepConfig) -> Any:
    """Load a model and choose what to tune: all weights, or an adapter on every linear layer except the last.

    The adapter is plain LoRA, which vLLM serves; its weights are always float32.
    """
    if config.method == "full":
        return load_weights(base.folder)
    model = load_weights(base.folder, torch.bfloat16 if config.precision == "bfloat16" else torch.float32)
    torch.manual_seed(config.seed)
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, settings)


def check_packing(model: nn.Module, rows: Sequence[Row], pad: int, at_once: int) -> None:
    """Check that packed examples do not see each other: changing the first of a row must not change the others.

    It is not documented which architectures keep them apart, and one that does not silently learns from mixed texts.

    Args:
        model: The model to tune.
        rows: Packed rows; the first one with several examples is tried.
        pad: Padding token.
        at_once: Rows of a batch.

    Raises:
        WrongUse: Packed examples see each other.
    """
    row = next((row for row in rows if len(row) > 1), None)
    if row is None:
        return
    batch = collate([row] * at_once, pad)
    first, total = len(row[0]), sum(map(len, row))
    batch["logits_to_keep"] = torch.arange(max(first, total - LOOKED_AT), total)
    del batch["labels"]
    changed = dict(batch, input_ids=batch["input_ids"].clone())
    changed["input_ids"][:, :first] = batch["input_ids"][:, :first].roll(1, dims=1)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        one, other = (
            model(**{name: values.to(device) for name, values in each.items()}).logits.float()
            for each in (batch, changed)
        )
    model.train(was_training)
    if float((one - other).abs().max()) > MOVED * float(one.std()):
        raise WrongUse("packed examples see each other in this model\n  add --no-pack to give each its own row")


def save(model: Any, base: Base, folder: Path) -> None:
    """Write an adapter in peft's format, or a whole model with its tokenizer."""
    if not isinstance(model, PeftModel):
        _save_whole(model, base, folder)
        return
    model.save_pretrained(str(folder))
    # peft writes the model's path, and a set in arbitrary order: one adapter would have many revisions.
    file = folder / "adapter_config.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    written |= {"base_model_name_or_path": base.folder.name, "target_modules": sorted(written["target_modules"])}
    file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _save_whole(model: Any, base: Base, folder: Path) -> None:
    model.config.use_cache = True  # the usual default; it was off only for tuning
    model.save_pretrained(str(folder))
    base.tokens.tokenizer.save_pretrained(str(folder))


def merging(base: Base, folder: Path | None) -> Callable[[Path], None]:
    """Return a function that merges a finished adapter into a new folder; without a folder it does nothing."""

    def finish(adapter: Path) -> None:
        if folder is not None:
            merge(base, adapter, folder)

    return finish


def merge(base: Base, adapter: Path, folder: Path) -> None:
    """Write a standalone model: the base with an adapter merged into its weights, in float32 to lose nothing.

    Args:
        base: The model that the adapter was tuned on.
        adapter: Folder of the adapter.
        folder: The new folder.
    """
    model: Any = PeftModel.from_pretrained(load_weights(base.folder), str(adapter))
    _save_whole(model.merge_and_unload(), base, folder)
    if (adapter / RESULT).is_file():  # the merged model has seen what the adapter has
        shutil.copy(adapter / RESULT, folder / RESULT)
