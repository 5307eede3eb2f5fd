"""The lock of a store: one writer at a time, and others read who it is."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from base.faults import WrongUse
from feature_store.swap import finish


@contextmanager
def only_writer(folder: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of a store; what a killed process was replacing in it is finished first.

    Args:
        folder: Folder of the store; created if missing.
        purpose: Shown to other processes that are refused meanwhile.

    Raises:
        WrongUse: Another process is writing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / "writer.lock"), folder / "writer.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = _holder(holder)
        raise WrongUse(
            f"{folder}: another process is writing: {who.get('purpose', 'unknown')},"
            f" process {who.get('process')} on {who.get('host')} since {who.get('since')}\n"
            "  wait for it to end, or stop it, and run this again"
        ) from None
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        about = {"purpose": purpose, "process": os.getpid(), "host": socket.gethostname(), "since": since}
        holder.write_text(json.dumps(about))
        finish(folder)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _holder(file: Path) -> dict[str, Any]:
    """Read who is writing; empty until the writer has recorded itself."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
