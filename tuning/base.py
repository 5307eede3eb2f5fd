"""The model that is tuned: where it lies, its tokenizer, its weights, and the adapter that is put beside them."""

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
from engines.model_folder import fingerprint
from engines.vllm.tokens import ChatTokens
from tuning.config import StepConfig
from tuning.packing import Row, collate
from tuning.tokens import stops
from tuning.workfolder import RESULT

PARTS = {"config.json": "config.json", "weights (*.safetensors)": "*.safetensors", "tokenizer": "tokenizer*"}
MOVED = 1e-2
"""How far an example's logits may move, in their standard deviations, when its neighbour changes: by rounding alone."""
LOOKED_AT = 64


@dataclass(frozen=True)
class Base:
    """A model on the disk."""

    folder: Path
    """Where it lies."""
    revision: str
    """Fingerprint of its files."""
    tokens: ChatTokens
    """Its tokenizer and chat template."""
    ends: frozenset[int]
    """Tokens at which it stops."""

    @property
    def pad(self) -> int:
        """A token that fills rows up; it is never learnt and never seen."""
        return min(self.ends)


def find_base(folder: Path, template: Mapping[str, Any]) -> Base:
    """Find a model's folder and read its tokenizer; its weights are left alone.

    Args:
        folder: What save_pretrained of model and tokenizer wrote.
        template: Further variables of the chat template, the same as when the model is asked.

    Raises:
        WrongUse: The folder holds no model.
        EngineFault: Its tokenizer cannot be read or has no chat template.
    """
    folder = folder.resolve()
    missing = [what for what, pattern in PARTS.items() if not any(folder.glob(pattern))]
    if missing:
        raise WrongUse(
            f"--model: {folder} holds no {' and no '.join(missing)}\n"
            "  name the folder that save_pretrained of the model and of its tokenizer wrote"
        )
    tokens = ChatTokens(str(folder), None, template)
    said = [_end_of(folder / name) for name in ("config.json", "generation_config.json")]
    ends = stops(tokens.tokenizer.eos_token_id, *said)
    if tokens.tokenizer.eos_token_id is None:
        raise WrongUse(f"--model: the tokenizer of {folder} names no eos_token, by which an answer ends\n  add it")
    return Base(folder, fingerprint(folder), tokens, ends)


def _end_of(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None


def check_devices() -> None:
    """See that there is one GPU at most: over several, transformers would cut batches apart that belong together.

    Raises:
        WrongUse: There are more.
    """
    count = torch.cuda.device_count()
    if count > 1:
        raise WrongUse(
            f"there are {count} GPUs, and a tuning runs on one\n  name it: CUDA_VISIBLE_DEVICES=0 knowflow tune ..."
        )


def load_weights(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Load a model for tuning: in one number format, and without a cache, with which packed examples see each other.

    Raises:
        WrongUse: transformers cannot load it, or it cannot say which logits are wanted.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype)
    except Exception as error:
        raise WrongUse(f"--model: {folder} cannot be loaded: {error}") from error
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise WrongUse(f"--model: {type(model).__name__} takes no logits_to_keep\n  take an architecture that does")
    model.config.use_cache = False
    return model


def prepare(base: Base, config: StepConfig) -> Any:
    """Load a model and say what is tuned of it: all weights, or an adapter on every linear layer but the last.

    The adapter is plain LoRA, which vLLM serves; its weights are float32 whatever the model's are.
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
    """See that packed examples do not see each other: change the first of a row, and the others must stay as they are.

    Which architectures keep them apart is not written down anywhere, and one that does not learns from mixed texts
    without a word.

    Args:
        model: As it will be tuned.
        rows: Packed rows; the first one with several examples is tried.
        pad: Token that fills rows up.
        at_once: Rows of a batch.

    Raises:
        WrongUse: They see each other.
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
        raise WrongUse("packed examples see each other in this model\n  add --no-pack: each gets a row of its own")


def save(model: Any, base: Base, folder: Path) -> None:
    """Write an adapter as peft saves it, or a whole model with its tokenizer."""
    if not isinstance(model, PeftModel):
        _save_whole(model, base, folder)
        return
    model.save_pretrained(str(folder))
    # peft writes the path of the model, and a set in any order, by which one adapter would have many revisions.
    file = folder / "adapter_config.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    written |= {"base_model_name_or_path": base.folder.name, "target_modules": sorted(written["target_modules"])}
    file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _save_whole(model: Any, base: Base, folder: Path) -> None:
    model.config.use_cache = True  # as models come; it was off for the tuning alone
    model.save_pretrained(str(folder))
    base.tokens.tokenizer.save_pretrained(str(folder))


def merging(base: Base, folder: Path | None) -> Callable[[Path], None]:
    """What merges a finished adapter into a new folder; nothing where there is none."""

    def finish(adapter: Path) -> None:
        if folder is not None:
            merge(base, adapter, folder)

    return finish


def merge(base: Base, adapter: Path, folder: Path) -> None:
    """Write a model of its own: the base with an adapter merged into its weights, float32 so that nothing is lost.

    Args:
        base: The model that the adapter was tuned on.
        adapter: Folder of the adapter.
        folder: Where to.
    """
    model: Any = PeftModel.from_pretrained(load_weights(base.folder), str(adapter))
    _save_whole(model.merge_and_unload(), base, folder)
    if (adapter / RESULT).is_file():  # the merged model has seen what the adapter has
        shutil.copy(adapter / RESULT, folder / RESULT)
