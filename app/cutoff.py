"""Until when the answers of a release know the world: the latest cutoff of the models that gave them."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from engines.cutoffs import published_cutoff
from engines.protocol import EngineConfig
from engines.request import ModelIdentity
from feature_store.answers import read_answers
from feature_store.database import Store
from feature_store.lineage import read_lineage

COLUMNS = ["key", "text", "model", "revision", "knowledge_cutoff"]


def cutoff_of_answers(store: Store, tasks: Sequence[str], engine: EngineConfig, identity: ModelIdentity) -> date | None:
    """Find the latest cutoff of the answers that the tables hold now for some techniques.

    Each answer has the one that was kept with it. Where none was kept (an unknown model, a store made before cutoffs
    were kept) counts what is published of its model by now. Of the engine's own model counts what knowflow.yaml says,
    so that a cutoff that was unknown or wrong can be fixed without asking anything again.

    Args:
        store: The store.
        tasks: Names of techniques.
        engine: The `engine:` part of knowflow.yaml.
        identity: Which model it names.

    Returns:
        None when there is no answer, or one whose cutoff is unknown.
    """
    keys = read_lineage(store, tasks, ["answer_key"])["answer_key"].drop_nulls().to_list()
    answers = read_answers(store, keys, COLUMNS).filter(pl.col("text").is_not_null())
    cutoffs: list[date | None] = []
    for model, revision, kept in answers.select(COLUMNS[2:]).unique().iter_rows():
        told = engine.knowledge_cutoff if (model, revision) == (identity.model, identity.revision) else None
        cutoffs.append(told or kept or published_cutoff(model))
    known = [cutoff for cutoff in cutoffs if cutoff is not None]
    return max(known) if known and len(known) == len(cutoffs) else None
