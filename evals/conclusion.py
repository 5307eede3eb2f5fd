"""The conclusion: one or two plain sentences that say no more than the intervals allow."""

from collections.abc import Mapping, Sequence

from evals.words import CONTROLS, Verdict, interval, judge, signed

SUBJECT = "knowledge"
"""The arm that the conclusion is about, where there is one of this name."""

Gains = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | None]]]]]
"""Arm -> control -> segment -> metric -> mean, low, high."""


def subject_of(arms: Sequence[str], controls: Sequence[str]) -> str | None:
    """Choose the arm that the conclusion is about: `knowledge`, or the last arm that is no control."""
    others = [arm for arm in arms if arm not in controls]
    if SUBJECT in others:
        return SUBJECT
    return others[-1] if others else None


def conclude(gains: Gains, segments: Mapping[str, Mapping[str, int]], controls: Sequence[str]) -> str:
    """Say what was shown about the main arm's AUC, overall and on cold rows with knowledge.

    Args:
        gains: Gains of every arm over the controls that were trained.
        segments: Segment -> `rows`.
        controls: Names of the control arms, trained or not.

    Returns:
        Sentences that claim a gain only where the whole interval is above 0, each number with its interval.
    """
    subject = subject_of(list(gains), controls)
    if subject is None:
        return "Only control arms were trained, so nothing can be said about knowledge."
    against = gains[subject]
    if not against:
        return f"No control arm was trained beside {subject}, so no gain can be claimed."
    parts = [f"{subject}, over all {_rows(segments, 'all')} test rows: {_compare(against, 'all')}."]
    if "cold_with_knowledge" in segments:
        rows = _rows(segments, "cold_with_knowledge")
        parts.append(f"On the {rows} cold rows with knowledge: {_compare(against, 'cold_with_knowledge')}.")
    if "facts" not in against:
        parts.append("There is no facts control, so a gain may come from the prompt's facts alone.")
    text = " ".join(parts)
    return text[0].upper() + text[1:]


def _rows(segments: Mapping[str, Mapping[str, int]], name: str) -> str:
    return f"{segments[name]['rows']:,}" if name in segments else "0"


def _compare(
    against: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | None]]]],
    segment: str,
) -> str:
    """Compare with every control on one segment."""
    nothing = {"mean": None, "low": None, "high": None}
    found = [(name, by.get(segment, {}).get("auc", nothing)) for name, by in against.items()]
    verdicts: list[Verdict] = [judge(gain) for _, gain in found]
    if all(verdict == "unknown" for verdict in verdicts):
        return "no interval, too few rows of both labels"
    clauses = [_clause(name, gain, verdict) for (name, gain), verdict in zip(found, verdicts, strict=True)]
    text = clauses[0]
    for i, clause in enumerate(clauses[1:], start=1):
        text += (" and " if verdicts[i] == verdicts[i - 1] else ", but ") + clause
    return text


def _clause(control: str, gain: Mapping[str, float | None], verdict: Verdict) -> str:
    name = CONTROLS.get(control, f"the control {control}")
    claim = {
        "better": f"better than {name}",
        "worse": f"a loss against {name}",
        "none": f"no gain shown over {name}",
        "unknown": f"no interval against {name}",
    }[verdict]
    return claim if verdict == "unknown" else f"{claim} ({signed(gain['mean'])} AUC, 95% interval {interval(gain)})"
