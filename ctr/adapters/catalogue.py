"""All adapters: every file in this folder and in plug-in folders, found without registration."""

from collections.abc import Sequence
from pathlib import Path

from base.plugins import Kind, find
from ctr.adapters.protocol import Adapter, ExampleAdapter

ADAPTERS = Kind("adapter", "ctr.adapters", (Adapter, ExampleAdapter))


def find_adapters(plugins: Sequence[Path] = ()) -> dict[str, Adapter | ExampleAdapter]:
    """Return all adapters by name.

    Args:
        plugins: Plug-in folders.

    Raises:
        PluginFault: A file cannot be imported, or two adapters have the same name.
    """
    return find(ADAPTERS, plugins)
