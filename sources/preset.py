"""Presets: how the files of a well-known data set are named and mapped, one YAML file each.

A preset is a part of a knowflow.yaml: a `path` is a list of names and patterns to look for, a section may be a list of
which the first whose file is there is taken, and what a preset leaves out is guessed. A team's own preset is such a
file, named by its path.
"""

import glob
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from base.faults import WrongUse
from base.frozen import Frozen
from sources.config import config_fault
from sources.faults import Fault, FaultKind, SourceFaults
from sources.file_format import FileFormat

FOLDER = Path(__file__).parent / "presets"
PACKED = ("", ".gz", ".zst", ".bz2", ".xz", ".zip")
"""Suffixes with which a named file may be packed."""
SECTIONS = ("events", "items", "users", "queries")


class Preset(Frozen):
    """The files and the mapping of one data set."""

    about: str
    """One line: what it is."""
    link: str = ""
    """Where it is published."""
    events: tuple[dict[str, Any], ...]
    """The events: settings of knowflow.yaml, with `path` as a list of names and patterns."""
    items: tuple[dict[str, Any], ...]
    """The items; without a `path` they are taken from the events' rows."""
    users: tuple[dict[str, Any], ...] = ()
    """The users; left out if there is no such file."""
    queries: tuple[dict[str, Any], ...] = ()
    """The queries; left out if there is no such file."""
    label: dict[str, Any] = Field(default_factory=dict)
    """How an event becomes a label; proposed if left out."""
    split: dict[str, Any] = Field(default_factory=dict)
    """How the events are split; proposed if left out."""
    domain: str | None = None
    """The domain; proposed if left out."""
    skip: tuple[FaultKind, ...] = ()
    """Kinds of faults that the published files have."""

    @field_validator(*SECTIONS, mode="before")
    @classmethod
    def _variants(cls, value: Any) -> Any:
        variants = [value] if isinstance(value, dict) else value
        if not isinstance(variants, list) or not all(isinstance(one, dict) for one in variants):
            raise ValueError("should hold settings, or a list of which the first that fits is taken")
        for one in variants:
            names = one.get("path", [])
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError("path should be a list of names or patterns of files, such as [ratings.csv]")
        return variants

    def variants(self, section: str) -> tuple[dict[str, Any], ...]:
        """Return the variants of a section."""
        return getattr(self, section)


def preset_names() -> list[str]:
    """Return the names of our presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_preset(name: str) -> Preset:
    """Read a preset.

    Args:
        name: Name of one of ours, or the path of a YAML file.

    Raises:
        WrongUse: There is no such preset; the message lists all, the most similar first.
        SourceFaults: The file has faults; all are listed at once.
    """
    own = name.endswith((".yaml", ".yml"))
    path = Path(name) if own else FOLDER / f"{name}.yaml"
    if not own and name not in preset_names():
        close = get_close_matches(name, preset_names(), n=3, cutoff=0.4)
        names = [*close, *(one for one in preset_names() if one not in close)]
        listed = "\n".join(f"  {one:16} {load_preset(one).about}" for one in names)
        raise WrongUse(f"there is no preset {name!r}; there are:\n{listed}\n  or give the path of your own .yaml file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Preset.model_validate(content)
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        words = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise WrongUse(f"the preset {name} cannot be read: {words}\n  fix the file, or its path") from None
    except ValidationError as error:
        raise SourceFaults(config_fault(path, dict(one), Preset.model_fields) for one in error.errors()) from None


def find_files(preset: Preset, folder: Path, given: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Find the files of a preset.

    Args:
        preset: The preset.
        folder: Where the data set was unpacked; its folders are searched too.
        given: Paths that the user names: section -> path.

    Returns:
        Section -> its settings, with the file as a `Path` in `path`; users and queries only if there is such a file.

    Raises:
        SourceFaults: A file of events or items is missing; all are listed at once.
    """
    found: dict[str, dict[str, Any]] = {}
    faults: list[Fault] = []
    for section in SECTIONS:
        variants = preset.variants(section)
        for variant in variants:
            if path := given.get(section) or _locate(variant.get("path", []), folder):
                found[section] = {**variant, "path": path}
                break
            if section == "items" and "path" not in variant and "events" in found:
                form = {key: value for key, value in found["events"].items() if key in FileFormat.model_fields}
                found[section] = {**form, **variant}
                break
        if variants and section not in found and section in ("events", "items"):
            names = [name for variant in variants for name in variant.get("path", [])]
            what = f"holds no file of the {section}; looked for {', '.join(names) or 'the events'}"
            fix = f"give the folder with these files, unpacked, or name the file: --{section} FILE"
            faults.append(Fault(str(folder), None, None, None, what, fix))
    if faults:
        raise SourceFaults(faults)
    return found


def _locate(names: list[str], folder: Path) -> Path | None:
    """Return the first file, or the pattern of several, that a name stands for: in a folder, else in one inside it."""
    for place in (folder, *sorted(one for one in folder.glob("*") if one.is_dir())):
        for name in names:
            for suffix in PACKED:
                pattern = Path(glob.escape(str(place))) / f"{name}{suffix}"
                files = [Path(one) for one in sorted(glob.glob(str(pattern))) if Path(one).is_file()]
                if files:
                    return files[0] if len(files) == 1 else pattern
    return None
