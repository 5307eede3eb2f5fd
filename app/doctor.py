"""What `knowflow doctor` looks at without Prefect: versions, data, store, engine, disk, clocks. It changes nothing.

Each check is a function of the config that returns one finding; a check that cannot look says so in its finding.
"""

import platform
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from app.config import Config
from app.verified import last_verification
from app.workplace import open_dataset, open_domain, open_store
from base.faults import CheckFailed, WrongUse
from engines.choose import build_engine
from engines.protocol import SecretReader
from feature_store.identity import FORMAT
from feature_store.releases import all_releases, list_releases
from feature_store.retention import disk_use

Level = Literal["ok", "warn", "bad"]
LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
"""Versions that were tested together; only a checkout has it."""
TESTED = ("prefect", "sqlalchemy", "fastapi", "lancedb", "pylance", "polars", "torch", "transformers", "vllm")
"""Packages whose version matters most."""
VERIFY_EVERY = timedelta(days=8)
"""A day more than the week between two runs of `maintain`."""
GB = 1e9
AHEAD = timedelta(minutes=5)
"""How far times may lie in the future before a clock is wrong."""


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    name: str
    """What was looked at."""
    level: Level
    """ok; warn: works, and should be seen to; bad: a night will fail, or nobody will notice that it did."""
    what: str
    """The facts."""
    command: str = ""
    """What to run; empty if nothing is wrong."""


def guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """Return what a check finds; a fault in words is a finding, too, whose last line is the command."""
    try:
        return check()
    except (WrongUse, CheckFailed) as fault:
        what, _, fix = str(fault).rpartition("\n")
        return Finding(name, "bad", what or fix, fix.strip() if what else "")


def examine(config: Config, now: datetime, secret: SecretReader | None = None) -> Iterator[Finding]:
    """Yield all findings that need no Prefect.

    Args:
        config: The config.
        now: The time.
        secret: Reads a stored secret by name, such as the key of a model server.
    """
    yield check_versions(LOCK)
    yield guarded("data", lambda: check_data(config, now))
    yield guarded("store", lambda: check_store(config))
    yield guarded("releases", lambda: check_releases(config, now))
    yield guarded("verified", lambda: check_verified(config, now))
    yield guarded("engine", lambda: check_engine(config, secret))
    yield guarded("disk", lambda: check_disk(config, shutil.disk_usage))


def check_versions(lock: Path) -> Finding:
    """Compare installed packages with the versions that were tested together.

    Args:
        lock: A file of `name==version` lines; without it, the versions are only shown.
    """
    there = {name: found for name in TESTED if (found := _installed(name))}
    shown = f"knowflow {version('knowflow')}, python {platform.python_version()}"
    shown += "".join(f", {name} {found}" for name, found in there.items())
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.is_file() else []
    tested = dict(line.removesuffix("\\").strip().split("==", 1) for line in lines if re.match(r"[\w.-]+==", line))
    # A build, such as +cpu, is the same version.
    other = [
        f"{name} {there.get(name, 'is missing')}, tested with {tested[name]}"
        for name in TESTED
        if name in tested and there.get(name, "").split("+")[0] != tested[name].split("+")[0]
    ]
    if other:
        return Finding("versions", "warn", f"{shown}; {'; '.join(other)}", f"pip install -r {lock.name}")
    return Finding("versions", "ok", shown)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_data(config: Config, now: datetime) -> Finding:
    """Read the data, and compare its newest event with the clock."""
    dataset = open_dataset(config)
    newest: Any = dataset.events["time"].max()
    newest = newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest
    shown = f"{dataset.events.height:,} events, the newest {newest:%Y-%m-%d %H:%M} UTC"
    if newest > now + AHEAD:
        what = f"{shown}, which lies in the future: this machine's clock is {now:%Y-%m-%d %H:%M} UTC"
        return Finding("data", "bad", what, "timedatectl; or correct the times of the events")
    return Finding("data", "ok", shown)


def check_store(config: Config) -> Finding:
    """Look for the store, its id and its format."""
    store = open_store(config)
    if not store.on_disk():
        return Finding("store", "warn", f"{store}: there is none yet", "knowflow refresh")
    identity = store.place.identity()
    if identity is None or identity.format < FORMAT:
        old = "without a format number" if identity is None else f"format {identity.format}"
        return Finding("store", "bad", f"{store}: {old}, this version writes {FORMAT}", "knowflow migrate")
    return Finding("store", "ok", f"{store}: format {identity.format}, id {identity.id}")


def check_releases(config: Config, now: datetime) -> Finding:
    """Look at the current release: its age, whether it is pinned, and whether the clock has jumped back."""
    store = open_store(config)
    releases = list_releases(store) if store.on_disk() else []
    if not releases:
        return Finding("releases", "warn", "nothing has been released yet", "knowflow refresh")
    current = releases[-1]
    made = current.created_at
    shown = f"{current.name}, made {made:%Y-%m-%d %H:%M} UTC; {len(releases)} in all"
    if made > now + AHEAD:
        what = f"{shown}; it lies in the future: the clock has jumped back, and is {now:%Y-%m-%d %H:%M} UTC"
        return Finding("releases", "bad", what, "timedatectl")
    if damaged := [one.name for one in all_releases(store) if one.damaged is not None]:
        return Finding("releases", "warn", f"{shown}; damaged and not served: {', '.join(damaged)}", "knowflow verify")
    if current.pinned:
        command = f"knowflow release unpin {current.name}"
        return Finding("releases", "warn", f"{shown}; pinned: refresh publishes nothing", command)
    return Finding("releases", "ok", shown)


def check_verified(config: Config, now: datetime) -> Finding:
    """Look at what the last verification found."""
    last = last_verification(config)
    if last is None:
        return Finding("verified", "warn", "the files of the store were never checked", "knowflow verify")
    shown = f"checked {last.at:%Y-%m-%d %H:%M} UTC"
    if last.damaged:
        return Finding("verified", "bad", f"{shown}: {last.damaged:,} damaged", "knowflow verify, then knowflow repair")
    if now - last.at > VERIFY_EVERY:
        return Finding("verified", "warn", f"{shown}, whole then", "knowflow verify")
    return Finding("verified", "ok", f"{shown}, whole")


def check_engine(config: Config, secret: SecretReader | None = None) -> Finding:
    """Ask the engine whether it could answer, without a call that costs."""
    engine = build_engine(config.engine, open_domain(config), config.folder, secret, config.plugin_folders)
    shown = f"{config.engine.name}, model {engine.identity.model}"
    reachable = getattr(engine, "reachable", None)
    if reachable is None:
        return Finding("engine", "ok", f"{shown}: nothing to reach")
    return Finding("engine", "ok", f"{shown}: {reachable()}")


def check_disk(config: Config, usage: Callable[[Path], Any]) -> Finding:
    """Compare free disk space with the size of the store, which compaction may need once more.

    Args:
        config: The config.
        usage: Returns the disk's `free` bytes for a folder, such as `shutil.disk_usage`.
    """
    folder = next(one for one in (config.home_folder, *config.home_folder.parents) if one.exists())
    size, free = 0 if config.store is not None else disk_use(open_store(config))[0], usage(folder).free
    shown = f"{free / GB:,.1f} GB free, the store takes {size / GB:,.1f} GB" + (" here" if config.store else "")
    if free < max(0.1 * size, 0.2 * GB):
        return Finding("disk", "bad", shown, "knowflow release gc; or make room")
    if free < max(size, GB):
        return Finding("disk", "warn", shown, "knowflow release gc; or make room")
    return Finding("disk", "ok", shown)
