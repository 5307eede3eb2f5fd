"""The arms of a training run that train now: one more begins when there is memory for it, or when none trains."""

import logging
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from app.arm_memory import Peak, need_bytes
from base.faults import CheckFailed
from base.memory import available_memory, in_gib, private_memory

EVERY_SECONDS = 0.1
"""Between two looks at what the arms take."""
SECONDS_BETWEEN_ATTEMPTS = 1.0
"""Of an arm that waits; it looks at once when another one has ended."""
logger = logging.getLogger("app.arm_places")


@dataclass
class Running:
    """An arm that has its place."""

    need: int
    """What it is going to take, in bytes."""
    process: subprocess.Popen[str] | None = None
    """Its process, once it has started."""
    now: int = 0
    """What the process has for itself now, in bytes."""
    peak: int = 0
    """The most of it so far."""

    @property
    def growth(self) -> int:
        """Return how much more it is going to take."""
        return max(self.need - self.now, 0)


def fits(free: int, shared: int, running: Mapping[str, Running], need: int) -> bool:
    """Return whether there is memory for one more arm; always true of the first.

    What trains may still grow to its need, or is above it already. What all arms share are pages of files, which count
    as free although the arms need them.

    Args:
        free: Bytes that can be taken now.
        shared: Bytes of what all arms read.
        running: The arms that train.
        need: Bytes that one more needs.

    Example:
        >>> fits(free=900, shared=100, running={"a": Running(500, now=300)}, need=600)  # 900 - 100 - (500 - 300) = 600
        True
    """
    return not running or need <= free - shared - sum(one.growth for one in running.values())


class Places:
    """Lets arms begin one after the other, and watches what they take.

    Args:
        run: Name of the training run.
        guessed: Arm -> bytes that it is guessed to take.
        earlier: Arm -> what it took in an earlier run.
        shared: Bytes of what all arms read.
        free: Returns how many bytes can be taken now.
    """

    def __init__(
        self,
        run: str,
        guessed: Mapping[str, int],
        earlier: Mapping[str, Peak],
        shared: int,
        free: Callable[[], int] = available_memory,
    ) -> None:
        self.run, self.guessed, self.earlier, self.shared, self.free = run, guessed, earlier, shared, free
        self.running: dict[str, Running] = {}
        self.ended: dict[str, Peak] = {}
        self.most, self.limit = 0, ""
        self._changed, self._over = threading.Condition(), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def place(self, name: str) -> Iterator[Callable[[subprocess.Popen[str]], None]]:
        """Wait until an arm may begin; it has its place as long as this context.

        Yields:
            A function to call with its process once that has started.

        Raises:
            CheckFailed: The run has ended meanwhile.
        """
        with self._changed:
            while not self._over.is_set() and not self._may_begin(name):
                self._changed.wait(SECONDS_BETWEEN_ATTEMPTS)
            if self._over.is_set():
                raise CheckFailed(f"arm {name}: not trained, {self.run} was stopped")
            running = self.running[name] = Running(self._need(name))
            self.most = max(self.most, len(self.running))
        whole = False
        try:
            yield lambda process: self._begun(running, process)
            whole = True
        finally:
            with self._changed:
                del self.running[name]
                if running.peak and name in self.guessed:
                    self.ended[name] = Peak(self.guessed[name], running.peak, whole)
                self._changed.notify_all()

    def end(self) -> None:
        """Kill the arms that train; those that wait never begin."""
        with self._changed:
            self._over.set()
            for one in self.running.values():
                if one.process is not None:
                    one.process.kill()
            self._changed.notify_all()

    def facts(self) -> dict[str, Any]:
        """Return what the run notes: the most arms at once, what limited them, and what each took."""
        with self._changed:
            peaks = {name: asdict(peak) for name, peak in self.ended.items()}
        return {"arms": self.most, "limit": self.limit or None, "shared": self.shared, "peaks": peaks}

    def _begun(self, running: Running, process: subprocess.Popen[str]) -> None:
        running.process = process
        if self._over.is_set():  # the run has just ended
            process.kill()

    def _need(self, name: str) -> int:
        whole = {one: peak for one, peak in self.ended.items() if peak.whole}
        return need_bytes(name, self.guessed.get(name, 0), self.earlier, whole)

    def _may_begin(self, name: str) -> bool:
        need, free = self._need(name), self.free()
        if not fits(free, self.shared, self.running, need):
            self._say_once(_why_it_waits(name, need, free - self.shared, self.running))
            return False
        if not self.running and need > free - self.shared:
            words = "arm %s may need %s of memory, and %s are free; if the system ends it, use a machine with more"
            logger.warning(f"%s: {words}", self.run, name, in_gib(need), in_gib(max(free - self.shared, 0)))
        return True

    def _say_once(self, words: str) -> None:
        if not self.limit:
            self.limit = words
            logger.warning("%s: %s", self.run, words)

    def _watch(self) -> None:
        """Look at what the arms take until the run ends."""
        while not self._over.wait(EVERY_SECONDS):
            with self._changed:
                for one in self.running.values():
                    if one.process is not None:
                        one.now = _private(one.process.pid)
                        one.peak = max(one.peak, one.now)


def _why_it_waits(name: str, need: int, free: int, running: Mapping[str, Running]) -> str:
    count = "1 arm trains" if len(running) == 1 else f"{len(running):,} arms train"
    wanted = f"{count} for now, because memory is short: arm {name} may need {in_gib(need)}"
    left = max(free - sum(one.growth for one in running.values()), 0)
    return f"{wanted}, and {in_gib(left)} are left beside {', '.join(running)}"


def _private(pid: int) -> int:
    try:
        return private_memory(psutil.Process(pid))
    except psutil.Error:  # it has just ended
        return 0
