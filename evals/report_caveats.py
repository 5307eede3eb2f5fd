"""Caveats of a report: what the model may have known, and what was fitted on what."""

from collections.abc import Mapping
from typing import Any

from engines.cutoffs import published_cutoff
from evals.words import percent
from feature_store.releases import Release, knowledge_cutoff
from llm_tasks.pipeline.task import Task

SEEN_BEFORE = (
    "The model that answered may have seen this data, or reviews and ratings of these items, during its training. No "
    "arm bounds how much of a gain that explains: facts, shuffled and random test whether the content of the answers "
    "matters, and memorised content is content too. What would bound it: rows later than the model's knowledge cutoff, "
    "items newer than the model, or, as a probe, the same prompts with anonymous titles."
)
EARLIER_ONLY = (
    "Every statistic and feature counts strictly earlier events only, and knowledge about users is strictly earlier "
    "than the sample that sees it. A model's own parameters are fitted on training rows: under a split by each user's "
    "position some of them are later than other users' test rows; under rolling time none is."
)
CUTOFF_UNKNOWN = (
    "The model's knowledge cutoff is unknown, so this page cannot say how many rows are later, and every figure about "
    "item knowledge may be optimistic. To fix this, set engine.knowledge_cutoff in knowflow.yaml to the date that the "
    "model's makers publish; then run knowflow refresh, which asks nothing again, and knowflow train."
)
CALIBRATED = (
    "Probabilities are calibrated ({}), which is fitted on validation rows: under a split by each user's position some "
    "of them are later than other users' test rows; under rolling time all are earlier than the first cut."
)
NEWER_DATA = "The data has changed since the release was made; its knowledge does not include newer events."


def caveats_of(noted: Mapping[str, Any], release: Release, techniques: Mapping[str, Task]) -> list[str]:
    """Return caveats for the report, the most serious first.

    Args:
        noted: What a training run recorded at its start: `data_version`; `after_cutoff`, the share of test rows later
            than the knowledge cutoff, None or missing if it was not counted; `test_years`, the years of the first and
            the last test row, if they were recorded; `negatives`, what is to be said of sampled ones, if there are any;
            `train`, its settings.
        release: The release that the run read.
        techniques: All techniques by name.
    """
    caveats = [EARLIER_ONLY]
    if name := noted.get("train", {}).get("calibration"):
        caveats.append(CALIBRATED.format(name))
    if any((task := techniques.get(name)) and task.prompt for name in release.facts.get("tasks", [])):
        caveats = [SEEN_BEFORE, about_cutoff(noted, release), *caveats]
    if noted["data_version"] != release.facts.get("data_version"):
        caveats.append(NEWER_DATA)
    if told := noted.get("negatives"):
        caveats = [f"{told[0].upper()}{told[1:]}.", *caveats]
    return caveats


def about_cutoff(noted: Mapping[str, Any], release: Release) -> str:
    """Describe what share of the test rows is later than the knowledge cutoff, and what follows; see `caveats_of`."""
    cutoff = knowledge_cutoff(release)
    if cutoff is None:
        published = published_cutoff(str(release.facts.get("model", "")).split("@")[0])
        return CUTOFF_UNKNOWN + (f" Published for this model: {published.isoformat()}." if published else "")
    day, share = str(cutoff)[:10], noted.get("after_cutoff")
    known = f"The model's knowledge ends with {day}"
    if share is None:
        return f"{known}; this run did not count the test rows after that. To count them: knowflow train."
    if share > 0:
        return (
            f"{known}; {percent(share)} of the test rows lie after it. Only these, the segment after_cutoff, are free "
            "of what the model knows about their future; for all others a gain from item knowledge is optimistic."
        )
    first, last = noted.get("test_years") or (None, None)
    rows, then = ("no test row", "samples of years before")
    if first is not None:
        rows, then = f"no test row (they are of {first} to {last})", f"samples of {first}"
    return (
        f"{known}, and {rows} lies after it. So this back-test of item knowledge is optimistic: the model knows the "
        f"world of {day[:4]} and describes items to {then}, including how they were received since. Only rows after "
        "the cutoff can show what that is worth for future items."
    )
