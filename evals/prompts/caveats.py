"""What to keep in mind about a trial: what the model may have known, and what a sample can show."""

from datetime import date

import polars as pl

from evals.words import percent

NEVER_TEST = "No measure reads test rows: promote by these figures, and judge by the report of a training run."
SEEN_BEFORE = (
    "The model that answered may have seen this data, or reviews and ratings of these items, during its training: what "
    "it says may repeat them, and is worth that much only for items as well known."
)
CUTOFF_UNKNOWN = (
    "The model's knowledge cutoff is unknown: set engine.knowledge_cutoff in knowflow.yaml to the date that its makers "
    "publish. Until then every figure about item knowledge may be optimistic."
)


def trial_caveats(times: pl.Series, cutoff: date | None, population: str, shortened: int) -> list[str]:
    """Return the caveats of a trial.

    Args:
        times: Times of all events.
        cutoff: Knowledge cutoff of the model that answers.
        population: What the sample was drawn from, in words.
        shortened: Number of rows that show less so that they fit.
    """
    caveats = [SEEN_BEFORE, _cutoff(times, cutoff), f"The sample: {population}.", NEVER_TEST]
    if shortened:
        caveats.append(f"{shortened:,} rows show less than they could, so that they fit with every version.")
    return caveats


def _cutoff(times: pl.Series, cutoff: date | None) -> str:
    if cutoff is None:
        return CUTOFF_UNKNOWN
    after = times.dt.date() > cutoff
    share = float(after.sum()) / len(times) if len(times) else 0.0
    if share > 0:
        return (
            f"The model's knowledge ends with {cutoff}; {percent(share)} of the events lie after it, and only these "
            "are free of what the model knows about their future."
        )
    return (
        f"The model's knowledge ends with {cutoff}, and all events are earlier: it describes items as they are known "
        "today, including how they were received since. For items newer than the model an answer is worth less."
    )
