"""The tables of a store in a bucket of S3, or of a service that speaks its protocol.

Everything that others must see is in the bucket: tables, releases, the identity of the store, the lock of its writer.
What only one machine needs stays in its home folder: the journal of answers before their commit, and a copy of the list
of releases. `feature_store.work_copy` brings the files to this machine for commands that work on files.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import lance
from pydantic import field_validator

from base.files import write_whole
from base.frozen import Frozen
from feature_store.control import NAME, Control
from feature_store.damage import reading
from feature_store.identity import Identity, StoreFault, parse_identity
from feature_store.lease import hold
from feature_store.lock import only_writer
from feature_store.object_sums import note_object_sums
from feature_store.objects import Objects
from feature_store.place import Held

KEY = "store"
COPYING = "copying"
"""Text of the control while a store is copied to here: the id of that store."""
HOME_ID = "home.id"
"""File in the home folder's part of the store: a random id, by which a lock knows its home again."""


class BucketConfig(Frozen):
    """Where the tables are, if not in the home folder: `store:` in knowflow.yaml."""

    url: str
    """`s3://BUCKET/PREFIX`; KnowFlow has the prefix to itself, and the bucket must exist."""
    endpoint: str | None = None
    """Address of a service other than AWS, such as http://minio:9000."""
    region: str | None = None
    """Region of the bucket; AWS_REGION of the environment if not given. Keys always come from the environment
    (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN) or from the machine's role."""

    @field_validator("url")
    @classmethod
    def _is_a_prefix(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
            raise ValueError("it is no address of a prefix; use one such as s3://my-bucket/knowflow")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("it has more than a bucket and a prefix; keys come from the environment")
        return value.rstrip("/")

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is no address; use one such as http://minio:9000")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("it has more than an address; keys come from the environment")
        return value.rstrip("/") if value else None

    @property
    def options(self) -> dict[str, str]:
        """Return LanceDB's storage options; no secret is among them."""
        told = {"endpoint": self.endpoint, "region": self.region}
        given = {name: value for name, value in told.items() if value is not None}
        return given | ({"allow_http": "true"} if (self.endpoint or "").startswith("http:") else {})


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket."""

    address: str
    """Its address."""
    options: dict[str, str] = field(repr=False)
    """LanceDB's storage options."""
    beside: Path = field(default=Path())
    """Folder on this machine for what is not in the bucket."""
    _seen: set[str] = field(default_factory=set, repr=False, compare=False)
    """Tables that were there when somebody asked; none is ever taken away."""

    @classmethod
    def of(cls, config: BucketConfig, beside: Path) -> "Bucket":
        """Return the bucket of a config.

        Args:
            config: Its address.
            beside: Folder on this machine.
        """
        return cls(config.url, config.options, beside)

    @property
    def control(self) -> Control:
        """Return its small texts."""
        return Control(self.address, self.options)

    @property
    def objects(self) -> Objects:
        """Return its objects as files."""
        return Objects.at(self.address, self.options)

    def has(self, table: str) -> bool:
        """Return whether the store says that it has a table; opening one that has gone is an error."""
        if table not in self._seen:
            self._seen.update(self.tables())
        return table in self._seen

    def tables(self) -> list[str]:
        """Return the tables that the store says it has.

        Raises:
            StoreFault: The bucket cannot be read, or something else is there.
        """
        identity = self.identity()
        if identity is not None:
            return list(identity.tables)
        import lancedb  # noqa: PLC0415 - takes a second, and only a new store looks

        with reading(self.address):
            there = lancedb.connect(self.address, storage_options=self.options).list_tables().tables
        if set(there) - {NAME}:
            raise StoreFault(
                f"{self.address}: there are tables, and no store of KnowFlow\n"
                "  set store.url in knowflow.yaml to a prefix that it has to itself"
            )
        return []

    def identity(self) -> Identity | None:
        """Read what the store says of itself.

        Raises:
            StoreFault: The bucket cannot be read, or a copy to it was not finished.
        """
        texts = self.control.read()
        if texts.get(COPYING):
            raise StoreFault(
                f"{self.address}: a copy of the store {texts[COPYING]} to here was not finished: this is no store yet\n"
                f"  finish it, with the config of that store: knowflow copy-store --to {self.address}\n"
                "  or give it up: delete the prefix with the tools of the service"
            )
        return None if KEY not in texts else parse_identity(texts[KEY], self.address)

    def identify(self, identity: Identity) -> None:
        """Write what the store says of itself."""
        if not self.control.change(KEY, self.control.read().get(KEY), json.dumps(asdict(identity))):
            raise StoreFault(f"{self.address}: another process has changed the store\n  run the same command again")

    @contextmanager
    def writing(self, purpose: str) -> Iterator[Held]:
        """Hold the lock of this machine's folder, which has the journal, and then that of the bucket."""
        with only_writer(self.beside, purpose), self.leasing(purpose) as held:
            yield held

    @contextmanager
    def leasing(self, purpose: str) -> Iterator[Held]:
        """Hold the lock of the bucket; the caller holds that of this machine's folder."""
        with hold(self.control, purpose, self._home()) as lease:
            yield lease.check

    def _home(self) -> str:
        file = self.beside / HOME_ID
        if not file.is_file():
            write_whole(file, uuid.uuid4().hex)
        return file.read_text(encoding="utf-8")

    def check_manifest(self, table: str, version: int | None) -> None:
        """Check nothing: LanceDB lists the manifests of a bucket, and `knowflow verify` reads them."""

    def check_files(self, dataset: lance.LanceDataset, *, whole: bool) -> None:
        """Check nothing: it would read every object twice; `knowflow verify` does."""

    def note_sums(self, versions: Mapping[str, int]) -> dict[str, str]:
        """Read new objects once, and keep their checksums for `knowflow verify`."""

        def dataset(table: str, version: int) -> lance.LanceDataset:
            with reading(self.address):
                return lance.dataset(f"{self.address}/{table}.lance", version=version, storage_options=self.options)

        return note_object_sums(self.objects, versions, dataset)

    def use(self) -> tuple[int, int]:
        """Add up the files of all tables."""
        sizes: list[int] = []
        for table in self.tables():
            with reading(self.address):
                dataset = lance.dataset(f"{self.address}/{table}.lance", storage_options=self.options)
                sizes += dataset.all_files().read_all()["size_bytes"].to_pylist()
        return sum(sizes), len(sizes)
