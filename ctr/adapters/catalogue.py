"""All adapters: found by walking this folder, so that a new file needs no registration."""

import importlib
import pkgutil

import ctr.adapters
from ctr.adapters.protocol import Adapter


def find_adapters() -> dict[str, Adapter]:
    """Import every file of `ctr/adapters/` and collect the adapters declared there, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(ctr.adapters.__path__))
    modules = [importlib.import_module(f"ctr.adapters.{name}") for name in names]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Adapter)]
    return {adapter.name: adapter for adapter in found}
