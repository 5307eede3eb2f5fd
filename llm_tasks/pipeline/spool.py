"""Hold the requests of a plan for the engine: built once, kept out of memory."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import orjson

from engines.request import Request, messages_json

IN_MEMORY = 8 << 20
"""Bytes kept in memory; the rest goes to an unnamed file in the folder given by TMPDIR."""
KEY_LENGTH, KIND_LENGTH = 64, 2
ORDERED_AT_ONCE = 5_000
"""Number of requests sorted together, so that prompts with a common beginning share the engine's prefix cache."""


class Spool:
    """Holds any number of requests; its file is deleted with it."""

    def __init__(self) -> None:
        # Closed when it is no longer referenced; an unnamed file leaves nothing behind, not even after a kill.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self._kinds: list[Request] = []  # one request per kind, without key and messages

    def add(self, request: Request) -> None:
        """Add one request."""
        same = (number for number, kind in enumerate(self._kinds) if _kind(kind) == _kind(request))
        kind = next(same, len(self._kinds))
        if kind == len(self._kinds):
            self._kinds.append(replace(request, key="", messages=()))
        self._file.write(f"{request.key}{kind:0{KIND_LENGTH}d}".encode() + messages_json(request.messages) + b"\n")

    def requests(self) -> Iterator[Request]:
        """Yield all requests in the order added, sorted by their text within each few thousand."""
        self._file.seek(0)
        place, begin = 0, KEY_LENGTH + KIND_LENGTH
        while True:
            self._file.seek(place)  # several readers share the one file
            window = list(islice(self._file, ORDERED_AT_ONCE))
            if not window:
                return
            place = self._file.tell()
            for line in sorted(window, key=lambda line: line[begin:]):
                kind = self._kinds[int(line[KEY_LENGTH:begin])]
                yield replace(kind, key=line[:KEY_LENGTH].decode(), messages=tuple(orjson.loads(line[begin:])))


def _kind(request: Request) -> tuple[Any, ...]:
    """Return all of a request but its key and its messages."""
    return request.sampling, request.schema, request.adapter
