"""Environments of their own for libraries that the project does not need: `make test-libraries`."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def python_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make an environment with a library, or take that in the folder KNOWFLOW_ENVIRONMENTS; gives its Python."""

    def make(name: str, *packages: str) -> Path:
        given = os.environ.get("KNOWFLOW_ENVIRONMENTS")
        folder = Path(given) / name if given else tmp_path_factory.mktemp("environments") / name
        if not folder.is_dir():
            run(sys.executable, "-m", "venv", folder)
            run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages)
        return folder / "bin" / "python"

    return make


def run(*command: object, **options: Path) -> None:
    """Run a command; what it printed is the message if it fails, as where no index can be reached."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
