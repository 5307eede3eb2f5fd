"""All adapters: found by walking this folder, so that a new file needs no registration."""

import importlib
import pkgutil

import ctr.adapters
from ctr.adapters.protocol import Adapter, ExampleAdapter


def find_adapters() -> dict[str, Adapter | ExampleAdapter]:
    """Import every file of `ctr/adapters/` and collect the adapters declared there, by name.

    Raises:
        ValueError: Two files declare an adapter of one name.
    """
    found: dict[str, Adapter | ExampleAdapter] = {}
    for name in sorted(info.name for info in pkgutil.iter_modules(ctr.adapters.__path__)):
        module = importlib.import_module(f"ctr.adapters.{name}")
        for adapter in [value for value in vars(module).values() if isinstance(value, Adapter | ExampleAdapter)]:
            if found.setdefault(adapter.name, adapter) is not adapter:
                raise ValueError(f"{module.__name__}: another file declares an adapter {adapter.name}: rename one")
    return found
