"""The index of a table of vectors, for a search that need not compare all of them.

From 100,000 vectors on, those of items are put into partitions around centres (IVF, Jégou, Douze and Schmid 2011,
section 5.1, without quantisation): a search compares the vectors of the partitions whose centres are nearest. Which are
the nearest among these is exact; some of the others may be missed. `benchmarks/similar_speed.py` measures how many.

Vectors that are newer than the index are all compared; when they have become a tenth, they are put into its partitions.
The name of the index says for which vectors it was made: when another encoder or another fit has made the newest ones,
or when they have become four times as many, its partitions are made anew.
"""

import hashlib

import lance

from feature_store.database import Writer
from feature_store.lineage import VectorName
from feature_store.vectors import vectors_table

LEAST = 100_000
"""Vectors below which a table has no index: comparing all of them takes 10 to 100 ms, by their length."""
ROWS_A_PARTITION = 500
"""Vectors in a partition, when the index is made."""
SHARE_READ = 0.2
"""Share of the partitions that a search reads."""
SHARE_OUTSIDE = 0.1
"""Vectors outside the index, as a share of those in it, from which on they are put into it: that writes it anew."""
GROWN = 4
"""How many times as many vectors there are when the partitions are made anew."""
COLUMN = "vector"


def indices_of(dataset: lance.LanceDataset) -> dict[str, int]:
    """Return the indices of the vectors of a table: name -> vectors in it."""
    return {one.name: one.num_rows_indexed for one in dataset.describe_indices() if one.field_names == [COLUMN]}


def partitions_of(index: str) -> int:
    """Return the number of partitions of an index, which its name says."""
    return int(index.rpartition("_")[2])


def index_name(fingerprint: str, partitions: int) -> str:
    """Return the name of an index.

    Example:
        >>> index_name("f", 50)
        'near_252f10c8_50'
    """
    return f"near_{hashlib.sha256(fingerprint.encode()).hexdigest()[:8]}_{partitions}"


def index_again(writer: Writer, table: str, index: str) -> None:
    """Make the index that a version of a table had for a table that is written anew with about the same vectors.

    Indices of the versions before go: a search would use the oldest.
    """
    dataset = writer.store.dataset(table)
    if partitions := min(partitions_of(index), dataset.count_rows()):
        writer.index_vectors(table, COLUMN, index, partitions, [*indices_of(dataset)])


def update_index(writer: Writer, name: VectorName, dimension: int, fingerprint: str, least: int = LEAST) -> bool:
    """Bring the index of a technique's vectors up to date; make it if it is due. Versions of releases keep theirs.

    Args:
        writer: The store's writer.
        name: The technique and the encoder.
        dimension: Length of the vectors.
        fingerprint: Of the encoder that made the newest vectors.
        least: Vectors below which none is made.

    Returns:
        Whether anything was written.
    """
    table = vectors_table(name, dimension)
    if not writer.store.has(table):
        return False
    dataset = writer.store.open(table)
    there, rows = indices_of(dataset), dataset.count_rows()
    if rows < least:
        return False
    partitions = max(2, rows // ROWS_A_PARTITION)
    ours = next((one for one in there if one.startswith(index_name(fingerprint, 0)[:-1])), None)
    if ours is None or partitions_of(ours) * GROWN <= partitions:
        writer.index_vectors(table, COLUMN, index_name(fingerprint, partitions), partitions, list(there))
        return True
    left = writer.drop_indices(table, there.keys() - {ours})  # a killed run has made ours, and they are still there
    if rows - there[ours] < SHARE_OUTSIDE * there[ours]:
        return left
    writer.add_to_index(table, ours)
    return True
