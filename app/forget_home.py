"""Take users out of what lies in the home folder beside the store: training runs, kept models, pages, simulations."""

import json
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from app.kept_data import FOLDER as DATA
from app.train_runs import SHARED
from app.workplace import PLANS
from base.files import write_whole
from feature_store.kept_facts import FOLDER as KEPT_FACTS
from feature_store.scrub import Scrubber
from feature_store.seek import documents, holds_bytes, kept_rows
from feature_store.traces import Traces

PREFECT = "prefect"
"""Folder of the temporary Prefect server, which keeps the messages of runs; nothing reads it when they have ended."""
AGAIN = {"report": "knowflow report", "recommend": "knowflow eval recommend", "rewrites": "knowflow eval rewrites"}
AGAIN |= {"similar": "knowflow eval similar"}
"""Page -> the command that writes it again."""
SERVED = "served"
"""Folder of the serving bundles, which hold what is known of every user."""
TRIALS = "prompts"
"""Folder of the pages of trials, which their own commands write again."""
DERIVED = (".html", ".log", ".prom", ".txt", ".csv", ".half")
"""Endings of files that may be deleted: something else holds what they show, or nobody needs it any more."""


@dataclass(frozen=True)
class Change:
    """A file that names one of the users, and what becomes of it."""

    file: str
    """The file or folder, relative to the home."""
    what: str
    """What is done, in a few words."""
    run: Callable[[], None]
    """Does it; doing it twice does no harm."""


def home_changes(home: Path, store: Path, traces: Traces, keys: Collection[int] = ()) -> list[Change]:
    """Find the files that name one of some users. Writes nothing.

    Args:
        home: The home folder.
        store: The folder of the store in it, which is left out.
        traces: Whom and what to search for.
        keys: Keys of their events in the test rows of training runs.
    """
    scrub = Scrubber(traces.users, traces.needles)
    changes: dict[Path, Change] = {}
    if (home / PREFECT).is_dir():
        runs = "is deleted: the messages of past runs of the temporary Prefect server"
        changes[home / PREFECT] = Change(f"{PREFECT}/", runs, lambda: shutil.rmtree(home / PREFECT, ignore_errors=True))
    for folder in _bundles_of(home, scrub):
        name = f"{folder.relative_to(home).as_posix()}/"
        changes[folder] = Change(name, "is deleted; write it again: knowflow export-model", partial(_drop, folder))
    inputs = "is deleted: what the arms of a training run read, which the run deletes when it ends"
    copies = dict.fromkeys(home.glob(f"train/*/{SHARED}"), inputs)
    copies |= dict.fromkeys(home.glob(DATA), "is deleted: the data as it was loaded; the next refresh loads it")
    copies |= dict.fromkeys(home.glob(PLANS), "is deleted: what refreshes keep of plans; the next one plans everything")
    copies |= dict.fromkeys(home.glob(KEPT_FACTS), "is deleted: what gates found in texts; the next refresh finds it")
    for folder, what in copies.items():
        changes[folder] = Change(f"{folder.relative_to(home).as_posix()}/", what, partial(_drop, folder))
    for file in sorted(path for path in home.rglob("*") if path.is_file()):
        if any(file.is_relative_to(folder) for folder in (store, home / PREFECT, home / SERVED, *copies)):
            continue
        change = _change(home, file, traces, scrub) or _keyed(home, file, keys)
        if change is not None:
            changes[file] = change
            if file.suffix == ".json" and file.with_suffix(".html").is_file():
                changes[file.with_suffix(".html")] = _deletion(home, file.with_suffix(".html"))
    return [changes[file] for file in sorted(changes)]


def _bundles_of(home: Path, scrub: Scrubber) -> list[Path]:
    """List the serving bundles with a row for one of the users, and what a killed export left."""
    bundles = [path.parent for path in home.glob(f"{SERVED}/*/*/*/users.json")]
    halves = list(home.glob(f"{SERVED}/*/*/*.half"))
    named = (path for path in bundles if any(map(scrub.is_one, json.loads((path / "users.json").read_text("utf-8")))))
    return sorted({*named, *halves})


def _drop(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _change(home: Path, file: Path, traces: Traces, scrub: Scrubber) -> Change | None:
    name = file.relative_to(home).as_posix()
    if file.suffix in (".json", ".jsonl") and (told := documents(file)):
        if all(scrub(one) == one for one in told):
            return None
        return Change(name, "loses what it says of them", lambda: _rewrite(file, scrub))
    if file.suffix == ".parquet":
        rows = pl.read_parquet(file)
        kept = kept_rows(rows, scrub)
        if kept.all():
            return None
        return Change(name, f"loses {len(rows) - kept.sum():,} rows", lambda: _replace(file, rows.filter(kept)))
    if file.suffix in DERIVED and (holds_bytes(file, traces) or _named_in(file, scrub)):
        return _deletion(home, file)
    return None


def _keyed(home: Path, file: Path, keys: Collection[int]) -> Change | None:
    """Let test rows of a run stay in their places, beside their predictions, under keys that mean nothing."""
    if not keys or file.suffix != ".parquet" or pl.read_parquet_schema(file).get("key") != pl.UInt64:
        return None
    rows = pl.read_parquet(file)
    theirs = rows["key"].is_in(pl.Series(sorted(keys), dtype=pl.UInt64).implode())
    if not theirs.any():
        return None
    new = [secrets.randbits(64) if mine else key for key, mine in zip(rows["key"], theirs, strict=True)]
    changed = rows.with_columns(pl.Series("key", new, dtype=pl.UInt64))
    what = f"{theirs.sum():,} rows get keys that mean nothing"
    return Change(file.relative_to(home).as_posix(), what, lambda: _replace(file, changed))


def _named_in(file: Path, scrub: Scrubber) -> bool:
    text = file.read_text(encoding="utf-8", errors="replace")
    return scrub.text(text) != text


def _deletion(home: Path, file: Path) -> Change:
    command = "knowflow prompts eval" if file.parent == home / TRIALS else AGAIN.get(file.stem)
    again = f"; write it again: {command}" if file.suffix == ".html" and command else ""
    return Change(file.relative_to(home).as_posix(), f"is deleted{again}", lambda: file.unlink(missing_ok=True))


def _rewrite(file: Path, scrub: Scrubber) -> None:
    lines: Iterator[str] = (json.dumps(scrub(one), ensure_ascii=False) for one in documents(file))
    write_whole(file, "\n".join(lines) + "\n" * (file.suffix == ".jsonl"))


def _replace(file: Path, rows: pl.DataFrame) -> None:
    half = file.with_suffix(".half")
    rows.write_parquet(half)
    half.replace(file)
