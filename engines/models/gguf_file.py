"""Read the header of a GGUF file: what the model is, and whether the file is whole; no weight is read.

Layout: magic `GGUF`, version, numbers of tensors and of keys, the keys with typed values, the table of tensors, then
the weights, aligned. Numbers are little-endian. Source: docs/gguf.md of the ggml project, versions 2 and 3.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from base.faults import WrongUse

MAGIC, VERSIONS = b"GGUF", (2, 3)
STRING, ARRAY = 8, 9
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Type of a value in the file -> its `struct` format."""
ALIGNMENT = 32
FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types of tensors that are numbers rather than quantised blocks -> their name in torch."""
NOT_INSTALLED = "the package gguf is not installed, which reads GGUF files\n  pip install 'knowflow[smollm2]'"


@dataclass(frozen=True)
class GgufFile:
    """The header of a whole GGUF file."""

    path: Path
    """The file."""
    metadata: Mapping[str, Any]
    """Key -> value; of an array, only its length."""
    types: frozenset[str]
    """Types of its tensors, such as `F32` and `Q4_1`."""
    parameters: int
    """Number of weights."""

    @property
    def architecture(self) -> str:
        """Return the name of its architecture, such as `llama`."""
        return str(self.metadata["general.architecture"])

    @property
    def licence(self) -> str:
        """Return the licence that the file states; empty if none."""
        return str(self.metadata.get("general.license", ""))

    @property
    def template(self) -> str:
        """Return its chat template; empty if it has none."""
        return str(self.metadata.get("tokenizer.chat_template", ""))

    @property
    def context(self) -> int | None:
        """Return how many tokens the model reads; None if the file does not say."""
        return self.metadata.get(f"{self.architecture}.context_length")

    @property
    def quantised(self) -> str:
        """Return the names of its quantised types, such as `Q4_1`; empty if all weights are plain numbers."""
        return ", ".join(sorted(self.types - set(FLOATS)))

    @property
    def dtype(self) -> str:
        """Return the number format that holds its weights without another rounding: float32 for quantised ones."""
        halves = [FLOATS[one] for one in sorted(self.types & {"F16", "BF16"})]
        return halves[0] if len(halves) == 1 and not self.quantised else "float32"


def read_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file.

    Raises:
        WrongUse: It is no GGUF file, of another version, cut off, damaged, or one part of several.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        if size < len(MAGIC) or file.read(len(MAGIC)) != MAGIC:
            raise WrongUse(f"{path} is not a GGUF file: it does not start with 'GGUF'\n  give the path of a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                found = _read(path, _Reader(content), size)
            except (struct.error, UnicodeDecodeError, OverflowError, MemoryError) as error:
                raise WrongUse(f"{path} is cut off or damaged: its header ends early\n  get the file again") from error
    if found.metadata.get("split.count", 1) > 1:
        raise WrongUse(
            f"{path} is one of {found.metadata['split.count']} parts of a model\n"
            "  merge them first, with gguf-split of llama.cpp"
        )
    return found


class _Reader:
    """Reads values from the content of a file, one after the other."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.place = content, len(MAGIC)

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(f"<{form}")
        return found

    def text(self) -> str:
        (length,) = self.numbers("Q")
        (content,) = self.numbers(f"{length}s")
        return content.decode("utf-8")

    def value(self, kind: int) -> Any:
        """Return a value; of an array, its length."""
        if kind == STRING:
            return self.text()
        if kind in NUMBERS:
            return self.numbers(NUMBERS[kind])[0]
        inner, count = self.numbers("IQ") if kind == ARRAY else (None, 0)
        if inner in NUMBERS:
            self.numbers(f"{struct.calcsize('<' + NUMBERS[inner]) * count}x")
        elif inner == STRING:
            for _ in range(count):
                self.numbers(f"{self.numbers('Q')[0]}x")
        else:
            raise struct.error("a value of an unknown type")
        return count


def _read(path: Path, reader: _Reader, size: int) -> GgufFile:
    (version,) = reader.numbers("I")
    if version not in VERSIONS:
        raise WrongUse(
            f"{path} is GGUF of version {version}; versions 2 and 3 can be read\n  convert it with llama.cpp's tools"
        )
    tensors, keys = reader.numbers("QQ")
    metadata = {}
    for _ in range(keys):
        name = reader.text()
        metadata[name] = reader.value(*reader.numbers("I"))
    if not isinstance(metadata.get("general.architecture"), str):
        raise WrongUse(f"{path} holds no general.architecture\n  it is no language model; give another file")
    table = [_tensor(path, reader) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", ALIGNMENT)
    begin = -(-reader.place // alignment) * alignment
    ends = max((begin + offset + length for _, _, offset, length in table), default=0)
    if not table:
        raise WrongUse(f"{path} holds no weights, only a vocabulary\n  give the file of the model")
    if ends > size:
        raise WrongUse(f"{path} is cut off: {size:,} of at least {ends:,} bytes are there\n  get the file again")
    return GgufFile(path, metadata, frozenset(kind for kind, *_ in table), sum(count for _, count, *_ in table))


def _tensor(path: Path, reader: _Reader) -> tuple[str, int, int, int]:
    """Return a tensor's type, number of weights, offset and bytes."""
    try:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType  # noqa: PLC0415 - only to read GGUF files
    except ModuleNotFoundError:
        raise WrongUse(NOT_INSTALLED) from None

    name = reader.text()
    count = prod(reader.numbers(f"{reader.numbers('I')[0]}Q"))
    kind, offset = reader.numbers("IQ")
    try:
        of = GGMLQuantizationType(kind)
    except ValueError:
        raise WrongUse(f"{path}: tensor {name} is of the unknown type {kind}\n  pip install -U gguf") from None
    block, width = GGML_QUANT_SIZES[of]
    return of.name, count, offset, -(-count // block) * width
