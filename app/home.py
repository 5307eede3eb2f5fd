"""Where a knowflow.yaml keeps its store and its reports, which is all that a look at them needs to know of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, ValidationInfo, field_validator

from base.frozen import Frozen
from feature_store.bucket import Bucket, BucketConfig
from feature_store.database import Store
from feature_store.identity import Note
from feature_store.work_copy import check_not_left
from sources.faults import Fault, SourceFaults

NO_FILE = "make one: knowflow init, or give yours: --config FILE"


class Home(Frozen):
    """The settings of knowflow.yaml that say where things are."""

    path: Path
    """The file itself."""
    home: Path = Path("runs")
    """Folder of the store, unless `store` says otherwise, the training runs and the reports, relative to the file."""
    store: BucketConfig | None = None
    """Where the tables are, if not in the home folder: a prefix of a bucket. See docs/how-to/bucket.md."""

    @property
    def folder(self) -> Path:
        """Folder of knowflow.yaml, to which its paths are relative."""
        return self.path.parent

    @field_validator("home")
    @classmethod
    def _check_home(cls, home: Path, info: ValidationInfo) -> Path:
        """Refuse a folder that holds other things, too: what deletes users searches and changes all files in it."""
        folder = info.data["path"].parent
        if folder.is_relative_to((folder / home).resolve()):
            what = f"{home} holds knowflow.yaml itself"
            raise ValueError(f"{what}; name a folder that KnowFlow has to itself, such as runs")
        return home

    @property
    def home_folder(self) -> Path:
        """Absolute folder of the store and the reports."""
        return (self.folder / self.home).resolve()

    @property
    def store_folder(self) -> Path:
        """Absolute folder of the store, or of what a store in a bucket keeps on this machine."""
        return self.home_folder / "store"


def read_home(path: str | Path) -> Home:
    """Read where things are from knowflow.yaml; its other settings are not checked.

    Raises:
        SourceFaults: The file is not there, is not YAML, or these settings are wrong: then with all faults of the file.
    """
    path = Path(path).resolve()
    content = read_yaml(path)
    said = {name: content[name] for name in ("home", "store") if name in content}
    try:
        return Home.model_validate({**said, "path": path})
    except ValidationError:
        from app.config import load_config  # noqa: PLC0415 - takes as long as all else; it words the faults

        load_config(path)
        raise


def open_store(home: Home) -> Store:
    """Return the store of a config, without creating anything.

    Raises:
        StoreFault: The store that this config used is gone, or another one is in its place.
    """
    store = damaged_store(home)
    assert store.note is not None
    store.note.check(str(store), store.place.identity)
    return store


def damaged_store(home: Home) -> Store:
    """Return the store of a config, whatever state it is in.

    Raises:
        StoreFault: What is there is a copy of a store in a bucket, which a killed command left.
    """
    if home.store is None:
        check_not_left(home.store_folder)
    bucket = None if home.store is None else Bucket.of(home.store, home.store_folder)
    return Store(home.store_folder, Note.beside(home.path), bucket)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read the settings of a file, unchecked.

    Raises:
        SourceFaults: It is not there, is not YAML, or holds no settings.
    """
    if not path.is_file():
        raise SourceFaults((Fault(str(path), None, None, None, "there is no such file", NO_FILE),))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceFaults(
            (Fault(str(path), None, None, None, f"is not YAML: {_why(error)}", "fix the file"),)
        ) from None
    if not isinstance(content, dict):
        raise SourceFaults((Fault(str(path), None, None, None, "holds no settings", "make one: knowflow init"),))
    return content


def _why(error: Exception) -> str:
    """Format a parser's complaint on one line."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}"
