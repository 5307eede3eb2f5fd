"""The requests of a plan on their way to the engine: rendered once, kept outside of memory."""

import tempfile
from collections.abc import Iterator

IN_MEMORY = 8 << 20
"""Bytes kept in memory; more than that goes to an unnamed file in the folder that TMPDIR names."""
KEY_LENGTH = 64


class Spool:
    """Holds the messages of any number of requests; its file vanishes with it."""

    def __init__(self) -> None:
        # Closed when it is no longer referred to; an unnamed file leaves nothing behind, not even after a kill.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115

    def add(self, key: str, messages: bytes) -> None:
        """Keep one request.

        Args:
            key: Its answer key.
            messages: From `messages_json`.
        """
        self._file.write(key.encode() + messages + b"\n")

    def lines(self) -> Iterator[bytes]:
        """All requests in the order in which they came, a line each; `split` takes one apart."""
        self._file.seek(0)
        yield from self._file


def split(line: bytes) -> tuple[str, bytes]:
    """Take a line apart: answer key and messages."""
    return line[:KEY_LENGTH].decode(), line[KEY_LENGTH:-1]
