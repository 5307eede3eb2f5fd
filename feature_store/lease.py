"""The lock of a store in a bucket: a text with an end, which its holder moves on while it writes.

A killed holder cannot take its lock back, so the lock ends by itself. The same home folder may go on at once, on the
same machine, if the holder's process is gone. Whoever could not move its lock on in time must not write any more.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from base.faults import CheckFailed, WrongUse
from feature_store.control import Control
from feature_store.identity import StoreFault

LOG = logging.getLogger(__name__)
KEY = "writer"
LASTS = timedelta(minutes=2)
"""A lock ends so long after it was last moved on."""
EVERY = LASTS / 4
"""Time between two moves."""
SKEW = timedelta(minutes=1)
"""Others wait so much longer, because clocks differ."""


@dataclass(frozen=True)
class Holder:
    """Who is writing."""

    owner: str
    """A random id of this hold."""
    home: str
    """Id of the home folder that it writes from."""
    purpose: str
    """What it does."""
    process: int
    """Its process."""
    host: str
    """Its machine."""
    since: str
    """When it began, ISO 8601."""
    until: str
    """When the lock ends, ISO 8601."""
    machine: str = ""
    """What a copy of the home folder does not share, see `this_machine`; empty in a lock of an older version."""

    @classmethod
    def new(cls, purpose: str, home: str, now: datetime) -> "Holder":
        """Describe this process."""
        since, until = now.isoformat(timespec="seconds"), (now + LASTS).isoformat()
        host = socket.gethostname()
        return cls(uuid.uuid4().hex, home, purpose, os.getpid(), host, since, until, this_machine())

    @property
    def ends(self) -> datetime:
        """Return when others may take the lock."""
        return datetime.fromisoformat(self.until) + SKEW

    def is_gone(self, mine: "Holder", now: datetime) -> bool:
        """Return whether the lock has ended, or was left by a killed process of the same home on the same machine."""
        here = (self.home, self.host, self.machine) == (mine.home, mine.host, mine.machine)
        return now > self.ends or (here and not _runs(self.process))

    def text(self) -> str:
        """Return it as the text of a lock."""
        return json.dumps(asdict(self))


def this_machine() -> str:
    """Return what a copy of the home folder does not share, even on a machine of the same name.

    On Linux it is the id of this boot and the space of its process numbers, which each container has for itself;
    elsewhere the address of the network card.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{uuid.getnode():x}"


def _runs(process: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


class Lease:
    """A lock that this process holds; create it with `hold`.

    Args:
        control: Where the lock is.
        holder: This process.
        clock: The time, in UTC.
    """

    def __init__(self, control: Control, holder: Holder, clock: Callable[[], datetime]) -> None:
        self._control, self._holder, self._clock = control, holder, clock
        self._moved, self._wall = time.monotonic(), clock()
        self._turn, self._lost = threading.Lock(), False

    def check(self) -> None:
        """Check that this process still is the only writer.

        Raises:
            CheckFailed: The lock has ended, and another process may have it.
        """
        # The wall clock counts the time that a machine sleeps, the other one passes over its jumps.
        passed = max(time.monotonic() - self._moved, (self._clock() - self._wall).total_seconds())
        if (self._lost or passed > LASTS.total_seconds()) and not self.move():
            raise CheckFailed(
                f"{self._control.address}: the lock of the store was lost, because it could not be moved on for"
                f" {LASTS.total_seconds():.0f} seconds, and another process has it\n"
                "  what was written before is kept; run the same command again to continue"
            )

    def move(self) -> bool:
        """Let the lock last on from now; return whether this process still has it."""
        with self._turn:
            begun, now = time.monotonic(), self._clock()
            new = replace(self._holder, until=(now + LASTS).isoformat())
            if self._replace(new.text()):
                self._holder, self._moved, self._wall = new, begun, now
            else:
                self._lost = True
            return not self._lost

    def give_back(self) -> None:
        """End the lock; if the bucket does not answer, it ends by itself."""
        try:
            with self._turn:
                if not self._lost and self._replace(""):
                    self._control.tidy()
        except StoreFault as error:
            LOG.warning("the lock of the store ends by itself at %s: %s", self._holder.until, error)

    def _replace(self, text: str) -> bool:
        """Replace the text of this hold; also one that was written although the response was lost."""
        if self._control.change(KEY, self._holder.text(), text):
            return True
        said = _said(self._control)
        return self._holder.owner in said and (said == text or self._control.change(KEY, said, text))


@contextmanager
def hold(
    control: Control, purpose: str, home: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Lease]:
    """Hold the lock of a store.

    Args:
        control: Where the lock is.
        purpose: Shown to other processes that are refused meanwhile.
        home: Id of the home folder, whose file lock the caller holds.
        clock: The time, in UTC.

    Raises:
        WrongUse: Another process is writing.
        StoreFault: The bucket cannot be read or written.
    """
    mine, said = Holder.new(purpose, home, clock()), control.read().get(KEY)
    if said and not (there := Holder(**json.loads(said))).is_gone(mine, clock()):
        raise WrongUse(
            f"{control.address}: another process is writing: {there.purpose}, process {there.process} on {there.host}"
            f" since {there.since}\n  wait for it to end, or stop it, and run this again; if it was killed, its lock"
            f" ends at {there.ends:%H:%M:%S} UTC"
        )
    if not control.change(KEY, said, mine.text()) and mine.owner not in _said(control):  # a response may be lost
        raise WrongUse(f"{control.address}: another process began to write just now\n  wait for it to end")
    lease, left = Lease(control, mine, clock), threading.Event()
    mover = threading.Thread(target=_move_on, args=(lease, left), name="lock of the store", daemon=True)
    mover.start()
    try:
        yield lease
    finally:
        left.set()
        mover.join()
        lease.give_back()


def _said(control: Control) -> str:
    """Return the text of the lock."""
    return control.read().get(KEY) or ""


def _move_on(lease: Lease, left: threading.Event) -> None:
    """Move the lock on until it is left or lost; a bucket that cannot be reached now may be reached in time."""
    while not left.wait(EVERY.total_seconds()):
        try:
            if not lease.move():
                return
        except StoreFault as error:
            LOG.warning("the lock of the store could not be moved on: %s", error)
