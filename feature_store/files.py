"""The files of one table: join small ones, delete those of versions that nobody reads."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import lance

ROWS_IN_A_FILE = 1_000_000
"""Rows in a file that is joined from small ones, at most."""
FILES_LEFT = 10
"""Files that a table may have after its small ones were joined, at most, unless all are large."""

HOUSEKEEPING = {"Rewrite", "CreateIndex", "UpdateConfig"}
"""Operations of Lance that leave the rows of a table as they were."""


Options = dict[str, str] | None
"""LanceDB's storage options; None for a disk."""


def join_small_files(table: Path | str, options: Options = None) -> None:
    """Join the small files of a table; large ones stay, because releases that pin them would keep a second copy.

    Args:
        table: Folder or address of the table.
        options: Storage options.
    """
    dataset = lance.dataset(str(table), storage_options=options)
    rows = rows_to_join([fragment.count_rows() for fragment in dataset.get_fragments()])
    dataset.optimize.compact_files(target_rows_per_fragment=rows)
    lance.dataset(str(table), storage_options=options).optimize.optimize_indices()


def rows_to_join(files: Sequence[int]) -> int:
    """Return the number of rows below which files are joined, which is what the joined file may hold, too.

    The smallest files are joined, and each next one that is not larger than all of them together: a row is then copied
    about as often as its table grows tenfold, however many nights there are.

    Args:
        files: Rows of each file.

    Example:
        >>> rows_to_join([5000, 3000, 7, 7, 7, 7, 7, 7, 7, 7, 7])
        63
    """
    sizes = sorted(files)
    together, count = 0, 0
    for size in sizes:
        if len(sizes) - count < FILES_LEFT and size > together:
            break
        together, count = together + size, count + 1
    return min(max(together, 1), ROWS_IN_A_FILE)


def same_rows(table: Path | str, old: int, new: int, options: Options = None) -> bool:
    """Return whether nothing but joins of files and indices lies between two versions of a table.

    Args:
        table: Folder or address of the table.
        old: The older version.
        new: The newer one.
        options: Storage options.
    """
    dataset = lance.dataset(str(table), storage_options=options)
    try:
        found = [dataset.read_transaction(version) for version in range(old + 1, new + 1)]
    except (OSError, ValueError):  # a version in between was deleted: nobody can say
        return False
    made = [type(one.operation).__name__ if one else "" for one in found]
    # Before it joins files, Lance reserves numbers for new ones: an operation without a Python class of its own.
    pairs = enumerate(pairwise(made))
    reserved = {place for place, (one, then) in pairs if (one, then) == ("BaseOperation", "Rewrite")}
    return new >= old and all(one in HOUSEKEEPING or place in reserved for place, one in enumerate(made))


def forget_versions(table: Path | str, older_than: timedelta, options: Options = None) -> None:
    """Delete versions that no tag holds, with the files of killed writers; the caller is the only writer.

    Args:
        table: Folder or address of the table.
        older_than: Younger versions stay.
        options: Storage options.
    """
    # lancedb's own clean-up stops at a tagged version; this one skips it.
    lance.dataset(str(table), storage_options=options).cleanup_old_versions(
        older_than, delete_unverified=True, error_if_tagged_old_versions=False
    )
