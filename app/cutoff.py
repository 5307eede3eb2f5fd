"""The date until which the answers of a release know the world: the latest knowledge cutoff of their models."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from engines.cutoffs import published_cutoff
from engines.protocol import EngineConfig
from engines.request import ModelIdentity
from feature_store.answers import TABLE
from feature_store.database import Store
from feature_store.lineage import read_lineage
from feature_store.schemas import ANSWERS

COLUMNS = ["model", "revision", "knowledge_cutoff"]


def cutoff_of_answers(store: Store, tasks: Sequence[str], engine: EngineConfig, identity: ModelIdentity) -> date | None:
    """Find the latest knowledge cutoff of the present answers of some techniques.

    An answer has the cutoff that was stored with it. Without one (an unknown model, a store made before cutoffs were
    stored), the published cutoff of its model applies. For the engine's own model, the cutoff in knowflow.yaml applies,
    so that an unknown or wrong cutoff can be fixed without asking anything again.

    Args:
        store: The store.
        tasks: Names of techniques.
        engine: The `engine:` section of knowflow.yaml.
        identity: The model of that section.

    Returns:
        The cutoff, or None if there is no answer or any cutoff is unknown.
    """
    asked = read_lineage(store, tasks, ["answer_key", "text_key"]).drop_nulls("answer_key")
    models = pl.DataFrame(pl.from_arrow(store.read(TABLE, ANSWERS, columns=COLUMNS))).unique()
    if len(models) > 1 or asked["text_key"].null_count() == len(asked):  # else one has answered all, as most often
        keys = pl.DataFrame(pl.from_arrow(store.read(TABLE, ANSWERS, ["key", *COLUMNS], where="text IS NOT NULL")))
        models = keys.join(asked, left_on="key", right_on="answer_key", how="semi").select(COLUMNS).unique()
    cutoffs: list[date | None] = []
    for model, revision, kept in models.iter_rows():
        configured = engine.knowledge_cutoff if (model, revision) == (identity.model, identity.revision) else None
        cutoffs.append(configured or kept or published_cutoff(model))
    known = [cutoff for cutoff in cutoffs if cutoff is not None]
    return max(known) if known and len(known) == len(cutoffs) else None
