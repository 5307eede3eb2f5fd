"""Grounding of texts about somebody with a history: the titles that they name were in it, and none in its future."""

from evals.prompts.intervals import measured_by_row
from evals.prompts.text.background import Background
from evals.trial import Measured, Trial, TrialRow


def grounding(trial: Trial, background: Background, seed: int = 0) -> list[Measured]:
    """Share of the named titles that are in the history, and number of those from its future; [] without histories."""
    if background.titles is None or not background.pasts:
        return []
    grounded: dict[str, list[float | None]] = {}
    future: dict[str, list[float | None]] = {}
    for version in trial.versions:
        pairs = [_counted(row, text, background) for row, text in zip(trial.rows, trial.texts(version), strict=True)]
        grounded[version], future[version] = [one for one, _ in pairs], [other for _, other in pairs]
    about = "Share of the titles that a text names which are in the history until its `as_of`."
    later = (
        "Titles that a text names which nobody had met until its `as_of`, or which this user met only later: it must "
        "be 0, or the text knows what it could not."
    )
    return [
        measured_by_row("grounded", about, "higher", grounded, seed=seed),
        measured_by_row("from_the_future", later, "lower", future, seed=seed),
    ]


def _counted(row: TrialRow, text: str | None, background: Background) -> tuple[float | None, float | None]:
    """Return the share of named titles that are in the history, and the number of those from the future."""
    past = background.pasts.get(row.row)
    if text is None or past is None or background.titles is None:
        return None, None
    named = set(background.titles.named(text, past.seen))
    if not named:
        return None, 0.0
    known = [items for items in named if not items.isdisjoint(past.seen)]
    ahead = [items for items in named if items <= past.later]
    return len(known) / len(named), float(len(ahead))
