"""Options of the `vllm` engine, and the location of its model."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from base.frozen import Frozen
from engines.model_folder import fingerprint, missing_parts
from engines.protocol import EngineConfig, EngineFault
from engines.seen import Unsaid, tuned_until


class VllmOptions(Frozen):
    """Options under `engine.options` if `engine.name` is `vllm`."""

    in_flight: int = Field(default=256, ge=1)
    """Maximum rows inside vLLM at once: more make better use of a large GPU, fewer must be asked again after a kill."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Tokens of prompt and answer together; the model's maximum if not given. Less needs less memory."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights. `auto`: on a CPU the model's own if the processor computes in it quickly, else
    float32; on a GPU as vLLM chooses. Not part of any key."""
    quantization: str | None = None
    """Quantise the weights while loading, such as `fp8`; part of every answer's key."""
    kv_cache_bytes: int | None = Field(default=None, ge=1)
    """Bytes for the KV cache; if not given, 1 GiB on a CPU and the rest of `gpu_memory` on a GPU."""
    gpu_memory: float = Field(default=0.9, gt=0, le=1)
    """Share of a GPU's memory that the model may use."""
    gpus: int = Field(default=1, ge=1)
    """GPUs over which the weights are split (tensor parallelism)."""
    max_num_seqs: int | None = Field(default=None, ge=1)
    """Maximum rows in one step of the model; all rows in flight if not given."""
    enforce_eager: bool = False
    """Run without compilation and CUDA graphs: starts faster, runs slower."""
    seed: int = 0
    """Seed for everything that has no seed of its own. Sampled rows get their seed from the answer key."""
    template: dict[str, Any] = Field(default_factory=dict)
    """Additional variables of the chat template, such as `{enable_thinking: false}`; part of every answer's key."""
    max_loras: int = Field(default=0, ge=0)
    """Number of LoRA adapters to reserve memory for. With 0 the model is loaded without adapters, which is faster, and
    is loaded again with one slot when a task has an adapter, or another adapter."""
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] | None = None
    """The largest rank (`r`) among the adapters; the adapter's own rank if not given."""

    @property
    def shaping(self) -> str:
        """Return the fingerprint of the options that change answers; empty for the defaults."""
        shaped = {"quantization": self.quantization, "template": self.template}
        if self.quantization is None and not self.template:
            return ""
        return sha256(json.dumps(shaped, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class ModelSource:
    """The location of a model, and its name in keys and tables."""

    name: str
    """Name of its folder, or its id on the hub; never a path."""
    place: str
    """Absolute path of its folder, or its id on the hub."""
    hub_revision: str | None
    """Revision on the hub; None for a folder."""
    revision: str
    """Revision in every key: as given, else the fingerprint of the folder."""
    seen_until: datetime | None = None
    """Time of the newest event that it was tuned on; None = none."""


def find_model(config: EngineConfig, folder: Path) -> ModelSource:
    """Find the model that knowflow.yaml names.

    Args:
        config: The `engine:` part of knowflow.yaml.
        folder: Base of a relative path; the folder of knowflow.yaml.

    Raises:
        EngineFault: There is no such folder, it has no model, a model from the hub lacks its revision, or it is not
            known what the model was tuned on.
    """
    path = (folder / config.model).expanduser().resolve()
    if path.is_dir():
        if missing := missing_parts(path):
            raise EngineFault(
                f"engine.model: {path} holds no {' and no '.join(missing)}\n"
                "  set it to the folder that save_pretrained of the model and of its tokenizer wrote"
            )
        try:
            seen = tuned_until(path, config.seen_until, "engine.model")
        except Unsaid as fault:
            raise EngineFault(str(fault)) from None
        return ModelSource(path.name, str(path), None, config.revision or fingerprint(path), seen)
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", config.model):
        raise EngineFault(f"engine.model: there is no folder {path}\n  fix the path; it is relative to knowflow.yaml")
    if not config.revision:
        raise EngineFault(
            f"engine.model: there is no folder {path}\n"
            "  fix the path, or, for a model from the hub, set engine.revision to its commit (part of answers' keys)"
        )
    return ModelSource(config.model, config.model, config.revision, config.revision, config.told_until)
