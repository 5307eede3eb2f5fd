"""A headless Chromium: what a page from disk is in a real browser."""

import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _run(page: Path, *options: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={profile}", "--virtual-time-budget=5000", *options, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def dom_of(page: Path) -> str:
    """The page as it is after its scripts have run."""
    return _run(page, "--dump-dom")


def screenshot(page: Path, file: Path) -> None:
    """A picture of the top of the page."""
    _run(page, "--window-size=1200,1600", f"--screenshot={file}")


def different_bytes(png: Path) -> int:
    """How many different bytes the pixels of a picture have: a blank one has a few."""
    content, place, pixels = png.read_bytes(), 8, b""
    while place < len(content):
        length, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        if kind == b"IDAT":
            pixels += content[place + 8 : place + 8 + length]
        place += length + 12
    return len(set(zlib.decompress(pixels)))
