"""LoRA adapters inside vLLM: checked before anything is paid for, each in a place of its own, never put out of it."""

import json
from pathlib import Path
from typing import Any

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
