"""Child processes, as a flow uses them: start, follow progress, and explain failures.

Whatever needs much memory (an encoder, a training run) runs in a child and frees the memory when it ends.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from app.lifeline import WRONG_USE
from base.faults import CheckFailed, WrongUse
from base.progress import Progress

LAST_LINES = 5
"""Number of output lines to show of a failed child."""


def ignore(process: subprocess.Popen[str]) -> None:
    """Do nothing with a started child."""


def run_child(
    what: str,
    module: str,
    arguments: Sequence[str],
    log: Path,
    progress: Progress,
    begun: Callable[[subprocess.Popen[str]], None] = ignore,
) -> None:
    """Run `python -m module arguments` to its end; the module must call `lifeline.begin_child` first.

    Args:
        what: What it does, for messages: `arm kar: training`.
        module: Its module.
        arguments: Its arguments.
        log: File for its output; deleted when it succeeds.
        progress: Called with its progress.
        begun: Called with the started process.

    Raises:
        WrongUse: It found wrong input.
        CheckFailed: It failed.
    """
    command = [sys.executable, "-m", module, *arguments]
    root = Path(__file__).resolve().parents[1]
    with (
        log.open("w") as said,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=root,
            process_group=0,  # Ctrl-C in a terminal goes to this process only, which then ends the child
        ) as process,
    ):
        assert process.stdout is not None  # because stdout=PIPE
        try:
            begun(process)
            for line in process.stdout:
                progress(*json.loads(line))
        except BaseException:
            process.kill()
            raise
        code = process.wait()
    if code == WRONG_USE:
        raise WrongUse(log.read_text(encoding="utf-8", errors="replace").strip())
    if code:
        raise CheckFailed(_failure(what, code, log))
    log.unlink()


def _failure(what: str, code: int, log: Path) -> str:
    why = f"stopped with exit code {code}"
    if code < 0:
        why = f"was ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            why += ", as the system does when memory runs out"
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_LINES:]
    return "\n".join([f"{what} {why}", *(f"  {line}" for line in last), f"  full output: {log}"])
