"""The requests of a plan on their way to the engine: built once, kept outside of memory."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import orjson

from engines.request import Request, messages_json

IN_MEMORY = 8 << 20
"""Bytes kept in memory; more than that goes to an unnamed file in the folder that TMPDIR names."""
KEY_LENGTH, KIND_LENGTH = 64, 2
ORDERED_AT_ONCE = 5_000
"""Requests that are sorted together, so that prompts that begin alike meet in the engine's prefix cache."""


class Spool:
    """Holds any number of requests; its file vanishes with it."""

    def __init__(self) -> None:
        # Closed when it is no longer referred to; an unnamed file leaves nothing behind, not even after a kill.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self._kinds: list[Request] = []  # a request of each sampling, without what it says

    def add(self, request: Request) -> None:
        """Keep one request."""
        kind = replace(request, key="", messages=())
        if kind not in self._kinds:
            self._kinds.append(kind)
        begin = f"{request.key}{self._kinds.index(kind):0{KIND_LENGTH}d}"
        self._file.write(begin.encode() + messages_json(request.messages) + b"\n")

    def requests(self) -> Iterator[Request]:
        """All requests as they were added, those that begin alike together within some thousands."""
        self._file.seek(0)
        place, begin = 0, KEY_LENGTH + KIND_LENGTH
        while True:
            self._file.seek(place)  # the file is one, however many read it
            window = list(islice(self._file, ORDERED_AT_ONCE))
            if not window:
                return
            place = self._file.tell()
            for line in sorted(window, key=lambda line: line[begin:]):
                kind = self._kinds[int(line[KEY_LENGTH:begin])]
                yield replace(kind, key=line[:KEY_LENGTH].decode(), messages=tuple(orjson.loads(line[begin:])))
