"""The files of one table: join small ones, delete those of versions that nobody reads."""

from datetime import timedelta
from pathlib import Path

import lance

ROWS_IN_A_FILE = 1_000_000
"""Rows in a file that is joined from small ones, at most."""
SHARE_OF_LARGE = 4
"""A file with more than one in so many rows of its table is not joined with others."""


def join_small_files(table: Path) -> None:
    """Join the small files of a table; large ones stay, because releases that pin them would keep a second copy.

    Args:
        table: Folder of the table.
    """
    dataset = lance.dataset(str(table))
    rows = min(max(dataset.count_rows() // SHARE_OF_LARGE, 1), ROWS_IN_A_FILE)
    dataset.optimize.compact_files(target_rows_per_fragment=rows)
    lance.dataset(str(table)).optimize.optimize_indices()


def forget_versions(table: Path, older_than: timedelta) -> None:
    """Delete versions that no tag holds, with the files of killed writers; the caller is the only writer.

    Args:
        table: Folder of the table.
        older_than: Younger versions stay.
    """
    # lancedb's own clean-up stops at a tagged version; this one skips it.
    lance.dataset(str(table)).cleanup_old_versions(
        older_than, delete_unverified=True, error_if_tagged_old_versions=False
    )
