"""The user's data as it was loaded, kept as Parquet for the later stages of a run: read instead of loaded again.

It is named by a digest of all that loading reads, so a changed file, mapping or line of code is loaded anew.
"""

import hashlib
import json
import logging
import re
import shutil
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from app.config import Config
from base.files import sha256_of, write_whole
from feature_store.bucket import Bucket
from feature_store.forgotten import FILE as FORGOTTEN
from feature_store.forgotten import Forgotten, forgotten_in
from sources.load import files_of
from sources.tables import Dataset

FOLDER = "loaded"
"""In the home folder; it holds the newest data alone."""
FACTS = "facts.json"
OURS = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\..+")
"""Names of kept data, and of what a kill left half written."""
TABLES = ("events", "items", "users", "queries", "sampled")
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError)
"""What reading a missing or damaged copy raises."""
CODE = Path(__file__).resolve().parents[1] / "sources"
logger = logging.getLogger("sources")


def forgotten_users(config: Config) -> Forgotten:
    """Read who was forgotten, on whichever machine that was.

    Raises:
        StoreFault: The list is damaged, or the bucket that has it cannot be reached.
    """
    if config.store is not None:
        said = Bucket.of(config.store, config.store_folder).objects.read(FORGOTTEN)
        if said is not None:
            config.store_folder.mkdir(parents=True, exist_ok=True)
            write_whole(config.store_folder / FORGOTTEN, said.decode("utf-8", "replace"))
    return forgotten_in(config.store_folder, config.home_folder)


def loaded_digest(config: Config, forgotten: Forgotten) -> str:
    """Return a digest of all that loading reads: the mapping, the bytes of the files, who is left out, and the code.

    Empty if a file cannot be read, of which loading will say more.
    """
    digest = hashlib.sha256()
    said = [config.source.model_dump(mode="json"), sorted(config.skipped()), sorted(forgotten.users), pl.__version__]
    digest.update(json.dumps([*said, str(config.folder)], sort_keys=True, default=str).encode())
    for path in [*sorted(CODE.rglob("*.py")), *files_of(config.source, config.folder)]:
        digest.update(f"\0{path}\0".encode(errors="surrogateescape"))
        try:
            digest.update(sha256_of(path).encode())
        except OSError:
            return ""
    return digest.hexdigest()


def kept_dataset(config: Config, digest: str) -> Dataset | None:
    """Read the data that was kept under a digest; say again what was left out of it. None if it is not kept whole."""
    folder = config.home_folder / FOLDER / digest
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tables = {name: pl.read_parquet(folder / f"{name}.parquet") for name in facts.pop("tables")}
        dataset = Dataset(**{name: tables.get(name) for name in TABLES}, **{k: _tuple(v) for k, v in facts.items()})
    except BROKEN:  # not kept, replaced by newer data at this moment, or damaged: the files are loaded instead
        return None
    for words in dataset.told:
        logger.warning("%s", words)
    return dataset


def keep_dataset(config: Config, dataset: Dataset) -> None:
    """Keep loaded data for the stages to come, in place of older data; not if a file has changed since it was loaded.

    Several processes may keep data at once. A disk that takes no more costs the later stages their time, not the run.

    Args:
        config: The config.
        dataset: The data, from `app.workplace.open_dataset`.
    """
    above, digest = config.home_folder / FOLDER, dataset.loaded_from
    forgotten = forgotten_users(config)
    if not digest or _is_whole(above / digest) or loaded_digest(config, forgotten) != digest:
        return
    half: Path | None = None
    try:
        above.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{digest}.", dir=above))
        _write(half, dataset)
        if not _is_whole(above / digest):  # else another process was faster
            shutil.rmtree(above / digest, ignore_errors=True)
            half.rename(above / digest)
        _drop_older(above, digest)
    except (OSError, pl.exceptions.PolarsError) as error:
        words = (
            "the loaded data cannot be kept, so each stage loads it again: %s\n  free space, or make it writable: %s"
        )
        logger.warning(words, str(error).splitlines()[0], above)
    finally:
        if half is not None:
            shutil.rmtree(half, ignore_errors=True)


def _write(folder: Path, dataset: Dataset) -> None:
    tables = {name: table for name in TABLES if (table := getattr(dataset, name)) is not None}
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet", compression="lz4", statistics=False)
    facts = {one.name: getattr(dataset, one.name) for one in fields(dataset) if one.name not in TABLES}
    (folder / FACTS).write_text(json.dumps(facts | {"tables": list(tables)}), encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    """Return whether data is kept there and every table can be opened; Parquet's schema is at the end of a file."""
    try:
        tables = json.loads((folder / FACTS).read_text(encoding="utf-8"))["tables"]
        return all(pl.read_parquet_schema(folder / f"{name}.parquet") for name in tables)
    except BROKEN:
        return False


def _drop_older(above: Path, digest: str) -> None:
    """Delete other data of ours; what another process has begun to write is left for a day."""
    yesterday = time.time() - 86_400
    for one in above.iterdir():
        begun = one.name.startswith(".") and one.stat().st_mtime > yesterday
        if OURS.fullmatch(one.name) and one.name != digest and not begun:
            shutil.rmtree(one, ignore_errors=True)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
