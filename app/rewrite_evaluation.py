"""What rewrites are worth: every arm searches for every query, in documents with and without descriptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app.config import Config
from app.rewrite_inputs import Inputs, open_inputs, ranks
from base.progress import Progress, silent
from evals.by_user import REPLICATES
from evals.rewrites import HEADLINE, HIT, measure, summarise
from llm_tasks.pipeline.workplace import OptionFault
from retrieval.search import BulkSearch
from retrieval.search_arms import ORIGINAL, RECORDED, Arm, search_arms

RelevanceName = Literal["lexical", "dense"]


@dataclass(frozen=True)
class Judged:
    """The arms on one kind of documents."""

    arms: Mapping[str, Arm]
    """What each found."""
    hits: Mapping[str, np.ndarray]
    """Arm -> [Q] hit@50."""
    summary: Mapping[str, Any]
    """`segments` and `arms`, from `evals.rewrites.summarise`."""


def evaluate_rewrites(
    config: Config,
    files: Mapping[str, Path],
    relevance: RelevanceName | None = None,
    release: str | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], Inputs, Judged]:
    """Judge the rewrites of a release, and of files beside them.

    Args:
        config: The config.
        files: Name of an arm -> Parquet file of its rewrites, with the columns query and rewrites (a list of texts).
        relevance: Who says what is relevant; whoever tells engaged from random pairs best when left out.
        release: Name of a release; the current one when left out.
        progress: Told what is done.

    Returns:
        The result, which is plain JSON; what went in; and what the arms found in the documents of the headline.

    Raises:
        OptionFault: There are no queries with items, a file cannot be used, or there are no vectors for `dense`.
        NoRelease: There is none, or it holds no rewrites and no file was given.
    """
    inputs = open_inputs(config, files, release)
    known = inputs.calibrations
    judge = relevance or max(known, key=lambda name: known[name].auc)
    if judge not in known:
        raise OptionFault(f"--relevance {judge}: there is none\n  " + "\n  ".join(inputs.left_out))
    judged: dict[str, Judged] = {}
    for done, name in enumerate(inputs.documents):
        progress("searching", done, len(inputs.documents))
        judged[name] = _judged(inputs, name, judge)
    progress("searching", len(inputs.documents), len(inputs.documents))
    main = next(reversed(judged))
    head = judged[main].summary["segments"][HEADLINE]
    result = {
        **{name: head[name] for name in (ORIGINAL, RECORDED, "gain")},
        "queries": len(inputs.queries.query),
        "headline": {"segment": HEADLINE, "metric": HIT, "documents": main, "queries": head["queries"]},
        **judged[main].summary,
        "documents": {name: one.summary for name, one in judged.items()},
        "about": {name: arm.about for name, arm in judged[main].arms.items()},
        "rewrites": {name: sum(bool(one) for one in of) for name, of in inputs.rewrites.items()},
        "calibration": {"model": judge, **vars(known[judge]), "models": {n: vars(one) for n, one in known.items()}},
        "bootstrap": {"unit": "users", "replicates": REPLICATES, "seed": 0},
        "release": inputs.release,
        "left_out": list(inputs.left_out),
    }
    return result, inputs, judged[main]


def _judged(inputs: Inputs, documents: str, judge: str) -> Judged:
    texts, queries = inputs.documents[documents], inputs.queries
    search = BulkSearch(inputs.items["item"].to_list(), texts)
    dense = ranks(inputs.vectors, documents) if inputs.vectors else None
    arms = search_arms(search, texts, queries.shown, inputs.rewrites, dense)
    values = measure(arms, queries, inputs.models[judge], inputs.calibrations[judge].threshold)
    return Judged(arms, {name: queries.mean(of[HIT]) for name, of in values.items()}, summarise(values, queries))
