"""All adapters: every file of this folder and of a team's own folders, found without registration."""

from collections.abc import Sequence
from pathlib import Path

from base.plugins import Kind, find
from ctr.adapters.protocol import Adapter, ExampleAdapter

ADAPTERS = Kind("adapter", "ctr.adapters", (Adapter, ExampleAdapter))


def find_adapters(plugins: Sequence[Path] = ()) -> dict[str, Adapter | ExampleAdapter]:
    """All adapters by name.

    Args:
        plugins: Folders of a team's own plug-ins.

    Raises:
        PluginFault: A file cannot be imported, or two adapters have one name.
    """
    return find(ADAPTERS, plugins)
