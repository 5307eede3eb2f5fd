"""Keep what a search for a better prompt found: a file for every candidate, with its lineage and figures."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from app.config import Config
from app.optimising import Optimised
from prompts.drafts import version_of, with_front, write_prompt
from prompts.library import find_prompts
from tuning.optimiser import Candidate


@dataclass(frozen=True)
class Kept:
    """One candidate, as it is shown and kept."""

    prompt: str
    """Its name: `rank_candidates.v3`."""
    parent: str
    """The name of the one it was rewritten from; empty for the first one."""
    how: str
    """The prompt it was rewritten with."""
    score: float | None
    """Mean of the objective; None if it was never compared."""
    rows: int
    """Number of rows behind the score."""
    gain: float | None
    """Mean difference to the first prompt on the rows that both answered."""
    monitors: Mapping[str, float]
    """Means of further measures on these rows."""
    best: bool
    """Whether it was chosen."""
    file: Path | None
    """Its file; None for the first prompt."""


def keep_candidates(config: Config, done: Optimised) -> list[Kept]:
    """Write every candidate as a draft into the team's own folder, and the chosen one as a trial.

    A candidate that has a file already keeps it: one that an optimiser wrote and nobody promoted gets the new figures,
    any other one stays as it is.

    Args:
        config: The config.
        done: The search.

    Returns:
        All candidates, in the order in which they were written.
    """
    kept = []
    for one in done.found.search.candidates:
        facts = _facts(done, one)
        file = _write(config, done, one, facts) if one.number else None
        kept.append(Kept(**facts, file=file))
    return kept


def _facts(done: Optimised, one: Candidate) -> dict[str, Any]:
    search, task = done.found.search, done.first.front.task
    cases, first = search.judged(one), {case.row: case.score for case in search.judged(search.first)}
    shared = [case.score - first[case.row] for case in cases if case.row in first]
    names = {candidate.number: f"{task}.v{done.versions[candidate.parts]}" for candidate in search.candidates}
    sums: Counter[str] = Counter()
    for case in cases:
        sums.update(case.monitors)
    told = Counter(name for case in cases for name in case.monitors)
    return {
        "prompt": names[one.number],
        "parent": "" if one.parent is None else names[one.parent],
        "how": one.how,
        "score": search.score(one) if cases else None,
        "rows": len(cases),
        "gain": fmean(shared) if shared and one.number else None,
        "monitors": {name: sums[name] / number for name, number in told.items()},
        "best": one.number == done.found.best.number,
    }


def _write(config: Config, done: Optimised, one: Candidate, facts: Mapping[str, Any]) -> Path:
    version = done.versions[one.parts]
    there = find_prompts(config.library).get(done.first.front.task, {}).get(version)
    if there is not None and (there.front.origin is None or there.front.status not in ("draft", "trial")):
        return there.path
    figures = {} if facts["score"] is None else {done.objective.name: round(facts["score"], 4)}
    origin = {
        "method": done.wish.method,
        "parent": facts["parent"],
        "seed": done.wish.seed,
        "figures": {**figures, "rows": facts["rows"]},
    }
    draft = version_of(done.first, one.parts, version, config.own_prompts)
    status = "trial" if facts["best"] else there.front.status if there else "draft"
    write_prompt(with_front(draft, origin=origin, status=status))
    return draft.path
