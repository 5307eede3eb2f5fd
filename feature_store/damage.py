"""Turn an error of LanceDB into words: whoever reads a damaged table learns which one it is, and what to run."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_store.disk import reason_of
from feature_store.identity import StoreFault

ERRORS = (OSError, ValueError, RuntimeError)
"""What LanceDB raises for a file that is missing, cut off or changed."""
PANIC = "PanicException"
"""What its Rust part raises for bytes that it did not expect; the class cannot be imported."""
REACH = (
    "check store: in knowflow.yaml, the network, and the keys in the environment (AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY); then run the same command again"
)
"""What to do when a bucket does not answer."""
SILENT = {
    "error sending request": "the service does not answer",
    "AWS Error NETWORK_CONNECTION": "the service does not answer",
    "AWS Error NO_SUCH_BUCKET": "the bucket does not exist",
    "AWS Error ACCESS_DENIED": "the service refuses these keys",
    "Failed to get AWS credentials": "there are no keys, neither in the environment nor from a role of this machine",
}
"""Part of an error of LanceDB, or of pyarrow -> what it means."""
SHOWN = 160
"""Maximum length of LanceDB's own words in a message."""


def is_damage(error: BaseException) -> bool:
    """Return whether LanceDB may raise this error for a damaged file."""
    return isinstance(error, ERRORS) or type(error).__name__ == PANIC


def short(error: BaseException) -> str:
    """Return the first line of an error, without the place in LanceDB's code.

    Example:
        >>> short(OSError("file is corrupt, /src/reader.rs:797:24"))
        'file is corrupt'
    """
    line = re.sub(r"(, /\S+\.rs:\d+:\d+)+$", "", str(error).partition("\n")[0])
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def said_by_service(error: BaseException) -> str:
    """Return what the service of a bucket said, from an error of LanceDB that is about one.

    Example:
        >>> said_by_service(OSError("<Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>"))
        'the service says: It is not there (NoSuchBucket)'
    """
    text = str(error)
    told = re.search(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", text)
    if told:
        return f"the service says: {told[2]} ({told[1]})"
    return next((words for part, words in SILENT.items() if part in text), short(error))


@contextmanager
def reading(place: Path | str) -> Iterator[None]:
    """Read or write a table inside; the failures of a disk pass through.

    Args:
        place: Folder or address of the table.

    Raises:
        StoreFault: The table is damaged, or the bucket that holds it does not answer.
    """
    try:
        yield
    except BaseException as error:
        if not is_damage(error) or (isinstance(error, Exception) and reason_of(error)):
            raise
        if "://" in str(place):
            raise StoreFault(f"{place}: {said_by_service(error)}\n  {REACH}") from error
        raise StoreFault(
            f"{place}: this table is damaged: {short(error)}\n  which files, and what to do: knowflow verify"
        ) from error
