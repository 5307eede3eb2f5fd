"""Estimate the tokens and time of calls from past runs of the same prompt and model."""

from dataclasses import dataclass

import polars as pl

from engines.request import ModelIdentity
from feature_store.database import Store
from feature_store.runs import read_runs
from llm_tasks.pipeline.before import model_name
from prompts.prompt import Prompt

RECENT = 5
"""How many past runs to average."""


@dataclass(frozen=True)
class Estimate:
    """The expected output and duration of one call."""

    output_tokens: float
    """Tokens of its answer."""
    seconds: float
    """Its share of the time; calls run in parallel."""
    calls: int
    """Number of past calls behind the estimate."""


def estimate(store: Store, prompt: Prompt, identity: ModelIdentity) -> Estimate | None:
    """Average the newest runs of a prompt with a model; None if there were none."""
    same = (pl.col("prompt") == prompt.name) & (pl.col("model") == model_name(identity)) & (pl.col("calls") > 0)
    runs = read_runs(store).filter(same).tail(RECENT)
    calls = int(runs["calls"].sum())
    if not calls:
        return None
    return Estimate(float(runs["output_tokens"].sum()) / calls, float(runs["seconds"].sum()) / calls, calls)
