"""Find plug-ins of every kind: in the folder of their room, and in a team's own folders.

A plug-in is an object of its kind's type at the top of a file: `TIGER = Recommender(...)`, or a function decorated with
`@llm_task(...)`. Nothing is registered. A folder under `plugins:` in knowflow.yaml may hold files of any kind, along
with prompts (`*.v1.md`) and domains (`*.yaml`); each of its Python files is imported once per process.
"""

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from base.faults import WrongUse
from base.files import sha256_of

T = TypeVar("T")
PLUGIN, SOURCE = "knowflow_plugin_", "__knowflow_source__"
"""How names of imported plug-ins begin, and the attribute with the digest of the file that was imported."""
FIX = "fix the file, or remove its folder from plugins: in knowflow.yaml"


class PluginFault(WrongUse):
    """Plug-ins cannot be used; the text says which files, why, and what to do."""


class UnknownPlugin(WrongUse):
    """There is no plug-in of a kind with a given name.

    Args:
        word: The kind, such as `technique`.
        names: The unknown names.
        known: The existing names.
    """

    def __init__(self, word: str, names: Sequence[str], known: Sequence[str]) -> None:
        self.names, self.known = tuple(names), tuple(known)
        super().__init__(f"no such {word}: {', '.join(names)}\n  there are: {', '.join(known)}")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of plug-in. Its objects have a unique `name`."""

    word: str
    """Its name in messages: `technique`."""
    package: str | tuple[str, ...]
    """Our own packages that hold them: `ctr.adapters`."""
    type: type[T] | tuple[type[T], ...]
    """The type of its objects."""


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """One plug-in that was found."""

    name: str
    """Its name."""
    value: T
    """The object itself."""
    file: str
    """Its file: a path below the repository, or the path of a team's file."""
    doc: str
    """The docstring of its file."""


def find(kind: Kind[T], folders: Sequence[Path] = ()) -> dict[str, T]:
    """Find all plug-ins of a kind, by name.

    Args:
        kind: The kind.
        folders: Folders of a team's own plug-ins, absolute.

    Raises:
        PluginFault: A file cannot be imported, or two plug-ins of a kind have the same name.
    """
    return {plugin.name: plugin.value for plugin in walk(kind, tuple(folders))}


def choose(kind: Kind[T], names: Sequence[str], folders: Sequence[Path] = ()) -> list[T]:
    """Return plug-ins of a kind by name.

    Raises:
        UnknownPlugin: There is no plug-in with a name.
        PluginFault: See `find`.
    """
    known = find(kind, folders)
    if unknown := [name for name in names if name not in known]:
        raise UnknownPlugin(kind.word, unknown, list(known))
    return [known[name] for name in names]


@cache
def walk(kind: Kind[T], folders: tuple[Path, ...] = ()) -> tuple[Plugin[T], ...]:
    """Find all plug-ins of a kind with their files, sorted by file name within our packages and within each folder.

    Raises:
        PluginFault: See `find`.
    """
    found: dict[str, Plugin[T]] = {}
    packages = (kind.package,) if isinstance(kind.package, str) else kind.package
    ours = [found for package in packages for found in _ours(package)]
    for file, module in [*ours, *_theirs(folders)]:
        for value in [one for one in vars(module).values() if isinstance(one, kind.type)]:
            name = str(getattr(value, "name", ""))
            if name in found and found[name].value is not value:
                fix = "give one of them another name"
                raise PluginFault(f"{file}: the {kind.word} {name} is already in {found[name].file}\n  {fix}")
            # The first file counts: a plug-in that another file imports is found twice.
            found.setdefault(name, Plugin(name, value, file, inspect.getdoc(module) or ""))
    return tuple(found.values())


def _ours(package: str) -> Iterator[tuple[str, ModuleType]]:
    room = importlib.import_module(package)
    for name in sorted(info.name for info in pkgutil.iter_modules(room.__path__)):
        module = importlib.import_module(f"{package}.{name}")
        yield module.__name__.replace(".", "/") + ("" if hasattr(module, "__path__") else ".py"), module


def _theirs(folders: Sequence[Path]) -> list[tuple[str, ModuleType]]:
    """Import a team's files; report all that fail together."""
    made, faults = [], []
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            try:
                made.append((str(path), _import(path)))
            except Exception as error:  # a team's file may raise anything
                faults.append(f"{path}: {type(error).__name__}: {error}")
    if faults:
        raise PluginFault("\n".join(faults) + f"\n  {FIX}")
    return made


def _import(path: Path) -> ModuleType:
    """Import a file once per process, under a name made only from its path."""
    name = f"{PLUGIN}{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("is not a Python file")
    module = importlib.util.module_from_spec(spec)
    setattr(module, SOURCE, sha256_of(path))
    sys.modules[name] = module  # before it runs: dataclasses look up their module there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
