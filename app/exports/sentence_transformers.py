"""sentence-transformers: a model per vectors that encodes ids: `SentenceTransformer(DIR).encode(["318"])`.

Reads:     sentence-transformers 3.2 and newer; `util.semantic_search` and everything else that takes its embeddings.
Time:      the newest vector of each id, as for serving; `--before` sets a moment, for training. An unknown id is zeros.
Relations: the dense encoder itself, which encodes new texts, is the model that knowflow.yaml names.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.exports.protocol import Exported, ExportFormat
from feature_store.entity_table import newest_rows

UNKNOWN = "[UNKNOWN ID]"
"""The word of every id that is not known; its vector is zeros."""


def write(exported: Exported, out: Path) -> Sequence[str]:
    """Write the models."""
    # Imported here: they take seconds, and all formats are imported to find one.
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415
    from tokenizers.models import WordLevel  # noqa: PLC0415

    made = []
    for source, column, vectors in exported.vectors():
        rows = newest_rows(source)
        words = {UNKNOWN: 0} | {name: place for place, name in enumerate(source.entities[rows].tolist(), start=1)}
        table = np.concatenate([np.zeros((1, vectors.shape[1]), dtype=np.float32), vectors[rows]])
        tokenizer = Tokenizer(WordLevel(words, unk_token=UNKNOWN))  # an id is one word, whatever is in it
        SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu").save(
            str(out / column.name), create_model_card=False
        )
        made.append(f'SentenceTransformer("{out / column.name}").encode(ids)')
    return made


SENTENCE_TRANSFORMERS = ExportFormat(
    "sentence-transformers", "a model per vectors that encodes ids", write, vectors_only=True
)
