"""The files below an address, read and written as bytes: a folder, or a prefix of a bucket.

LanceDB reads and writes tables; this copies, hashes and deletes their files, with pyarrow's client of S3.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from feature_store.damage import reading

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

AT_ONCE = 1 << 20
"""Bytes read at once."""
REGION = "us-east-1"
"""Region where a service other than AWS is told none."""


@dataclass(frozen=True)
class Objects:
    """The files below an address."""

    address: str
    """Folder, or `s3://BUCKET/PREFIX`."""
    files: "FileSystem" = field(repr=False)
    """Where names are relative to the address."""

    @classmethod
    def at(cls, address: str, options: Mapping[str, str] | None = None) -> "Objects":
        """Return the files below an address.

        Args:
            address: A folder, or `s3://BUCKET/PREFIX`.
            options: LanceDB's storage options; None for a folder.
        """
        from pyarrow import fs  # noqa: PLC0415 - few commands need it

        if "://" not in address:
            return cls(address, fs.SubTreeFileSystem(address, fs.LocalFileSystem()))
        told, parts = options or {}, urlsplit(address)
        service = urlsplit(told.get("endpoint", ""))
        region = told.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        with reading(address):
            if service.netloc:
                client = fs.S3FileSystem(
                    region=region or REGION,
                    scheme=service.scheme,
                    endpoint_override=service.netloc + service.path,
                )
            else:
                client = fs.S3FileSystem(region=region or fs.resolve_s3_region(parts.netloc))
        return cls(address, fs.SubTreeFileSystem(parts.netloc + parts.path, client))

    def sizes(self) -> dict[str, int]:
        """Return name -> bytes of all files."""
        from pyarrow import fs  # noqa: PLC0415 - see `at`

        with reading(self.address):
            found = self.files.get_file_info(fs.FileSelector("", recursive=True, allow_not_found=True))
        return {one.path: one.size for one in found if one.type == fs.FileType.File}

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a small file; None if it is not there."""
        try:
            with self.files.open_input_stream(name) as opened:
                return opened.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            with reading(self.address):
                raise error

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        with reading(self.address):
            self._make_room(name)
            with self.files.open_output_stream(name) as made:
                made.write(content)

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file, in hexadecimal digits."""
        digest = hashlib.sha256()
        with reading(self.address), self.files.open_input_stream(name) as opened:
            while part := opened.read(AT_ONCE):
                digest.update(part)
        return digest.hexdigest()

    def take(self, source: "Objects", name: str) -> str:
        """Copy a file from elsewhere to the same name; return the SHA-256 of what was read."""
        digest = hashlib.sha256()
        with reading(source.address), source.files.open_input_stream(name) as opened, reading(self.address):
            self._make_room(name)
            with self.files.open_output_stream(name) as made:
                while part := opened.read(AT_ONCE):
                    digest.update(part)
                    made.write(part)
        return digest.hexdigest()

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""
        try:
            self.files.delete_file(name)
        except FileNotFoundError:
            pass
        except OSError as error:
            with reading(self.address):
                raise error

    def _make_room(self, name: str) -> None:
        if "://" not in self.address:  # a bucket has no folders
            Path(self.address, name).parent.mkdir(parents=True, exist_ok=True)
