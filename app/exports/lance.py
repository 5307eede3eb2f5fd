"""Lance: a dataset per feature, `kar_item_dense.lance`: id, as_of, vector, ready for a vector index.

Reads:     lance.dataset, lancedb.connect(DIR).open_table("kar_item_dense"), torch by lance.torch.
Time:      every row of the release with its as_of.
"""

from collections.abc import Sequence
from pathlib import Path

from app.exports.protocol import Exported, ExportFormat
from feature_store.entity_table import write_lance


def write(exported: Exported, out: Path) -> Sequence[str]:
    """Write the datasets."""
    for source, column in exported.columns():
        write_lance(out / f"{column.name}.lance", source, column)
    return [f'lancedb.connect("{out}")']


LANCE = ExportFormat("lance", "a Lance dataset per feature: id, as_of, vector", write)
