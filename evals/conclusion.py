"""The conclusion: a few plain sentences that say no more than the intervals allow.

An arm is called better than a control only if the whole interval of the gain lies above 0 and the arm is also better
than its shuffled and random twins. Nothing is claimed if the base does not beat a constant or if there are fewer than
three seeds, and a gain counts only if it holds in both protocols.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evals.words import (
    CONSTANT,
    CONTROLS,
    GUARDS,
    Verdict,
    interval,
    own_controls,
    segment_name,
    signed,
    verdict_on,
    whose,
    without_interval,
)

LEAST_SEEDS = 3
"""With fewer training seeds no gain is claimed."""
SUBJECT = "knowledge"
"""The arm that the conclusion is about, if it was trained."""
TOLD = ("all", "cold_with_knowledge")
"""Segments that the conclusion reports."""

Gain = Mapping[str, float | None]
Against = Mapping[str, Mapping[str, Mapping[str, Gain]]]
"""Control -> segment -> metric -> mean, low, high."""
Gains = Mapping[str, Against]
"""Arm -> control -> segment -> metric -> mean, low, high."""
Segments = Mapping[str, Mapping[str, Any]]
"""Segment -> rows, users and so on."""
NO_GAIN: Gain = {"mean": None, "low": None, "high": None}


def subject_of(arms: Sequence[str], controls: Sequence[str]) -> str | None:
    """Choose the arm that the conclusion is about: `knowledge`, or the last arm that is not a control."""
    never = {*controls, CONSTANT, *GUARDS, *(own for arm in arms for own in own_controls(arm, arms))}
    others = [arm for arm in arms if arm not in never]
    if SUBJECT in others:
        return SUBJECT
    return others[-1] if others else None


def guards_of(subject: str, against: Against) -> list[str]:
    """Return the trained arms of wrong knowledge that the subject must beat before a gain is claimed."""
    own = own_controls(subject, against)
    return [name for name in against if name in GUARDS or (name in own and not name.endswith("-facts"))]


def missing_guards(subject: str, against: Against) -> list[str]:
    """Arms of wrong knowledge that a claim needs and that were not trained."""
    own = {guard: guard if subject == SUBJECT else f"{subject}-{guard}" for guard in GUARDS}
    return [name for guard, name in own.items() if guard not in against and name not in against]


def conclude(gains: Gains, segments: Segments, controls: Sequence[str], seeds: int | None = None) -> str:
    """Write what was shown about the main arm's AUC, overall and on cold rows with knowledge.

    Args:
        gains: Gains of every arm over the controls that were trained.
        segments: Segment -> `rows`, `users`, `largest_user_share` and `no_interval`.
        controls: Names of the control arms, trained or not.
        seeds: Training seeds an arm; None = unknown.

    Returns:
        Sentences that claim a gain only if the whole interval is above 0, each figure with its interval and its
        number of users.
    """
    subject = subject_of(list(gains), controls)
    if subject is None:
        return "Only control arms were trained, so nothing can be said about knowledge."
    against = gains[subject]
    if not compared_with(subject, against):
        return f"No control arm was trained beside {subject}, so no gain can be claimed."
    if (nothing := _no_model(gains, segments)) is not None:
        return nothing
    if (few := _few_seeds(seeds)) is not None:
        return few
    parts = [
        f"{subject}, over all {_rows(segments, 'all', 'test rows')}: {_compare(subject, against, segments, 'all')}."
    ]
    if segments.get("cold_with_knowledge", {}).get("rows", 0):
        cold = _compare(subject, against, segments, "cold_with_knowledge")
        parts.append(f"On the {_rows(segments, 'cold_with_knowledge', 'cold rows with knowledge')}: {cold}.")
    if not {"facts", f"{subject}-facts"} & set(against):
        parts.append("There is no facts control, so a gain may come from the prompt's facts alone.")
    return _sentence(" ".join(parts))


def conclude_both(
    split: Mapping[str, Any], rolling: Mapping[str, Any] | None, split_name: str = "the configured split"
) -> str:
    """Write what each protocol shows, and which gains hold in both.

    Args:
        split: What `evals.evaluate.evaluate` returned for the configured split.
        rolling: The same for the pooled rows of rolling time; None if it was not run.
        split_name: Name of the first protocol.

    Returns:
        A line of one or two sentences per protocol, and a last line that claims only what both claim.
    """
    first = conclude(split["gains"], split["segments"], split["controls"], split.get("seeds"))
    if rolling is None:
        return f"{first}\nRolling time was not run: a gain under one split is not yet a gain."
    second = conclude(rolling["gains"], rolling["segments"], rolling["controls"], rolling.get("seeds"))
    cuts = len(rolling.get("cuts") or ())
    name = f"rolling time ({cuts} cuts)" if cuts else "rolling time"
    lines = [f"By {split_name}: {_inside(first, split)}", f"By {name}: {_inside(second, rolling)}"]
    return "\n".join([*lines, _in_both(split, rolling)])


def claims(result: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the (segment, control) pairs for which the subject may be called better."""
    gains, segments = result["gains"], result["segments"]
    subject = subject_of(list(gains), result["controls"])
    if subject is None or _no_model(gains, segments) is not None or _few_seeds(result.get("seeds")) is not None:
        return set()
    return {
        (segment, control)
        for segment in TOLD
        if segment in segments and not without_interval(segments[segment])
        if not _unguarded(subject, gains[subject], segment)
        for control in compared_with(subject, gains[subject])
        if verdict_on(_auc(gains[subject], control, segment)) == "better"
    }


def compared_with(subject: str, against: Against) -> list[str]:
    """Return the controls over which gains are reported: neither wrong knowledge nor the constant."""
    guards = guards_of(subject, against)
    return [name for name in against if name != CONSTANT and name not in guards]


def _in_both(split: Mapping[str, Any], rolling: Mapping[str, Any]) -> str:
    one, other = (subject_of(list(result["gains"]), result["controls"]) for result in (split, rolling))
    shared = claims(split) & claims(rolling) if one == other else set()
    if not shared:
        return "No gain holds in both."
    parts = []
    for segment in TOLD:
        controls = compared_with(str(one), split["gains"][one])
        if names := [_name(control) for control in controls if (segment, control) in shared]:
            parts.append(f"{'over' if segment == 'all' else 'on'} {segment_name(segment)} better than {_and(names)}")
    return f"What holds in both: {', and '.join(parts)}."


def _few_seeds(seeds: int | None) -> str | None:
    """Say that the seeds are too few to tell a gain from the luck of a start; None where they are enough or unknown."""
    if seeds is None or seeds >= LEAST_SEEDS:
        return None
    many = "One seed is" if seeds == 1 else f"{seeds} seeds are"
    return f"{many} too few to claim a gain: set train.seeds to at least {LEAST_SEEDS} of them."


def _no_model(gains: Gains, segments: Segments) -> str | None:
    """Say that the base is not shown to beat the constant, if that was trained; None if it does."""
    gain = gains.get("base", {}).get(CONSTANT, {}).get("all", {}).get("logloss")
    if gain is None or verdict_on(gain, higher_is_better=False) == "better":
        return None
    why = without_interval(segments["all"]) or (
        f"LogLoss {signed(gain['mean'])}, 95% interval {interval(gain)}, {whose(segments['all'])}"
    )
    return f"The base arm is not shown to be better than a constant ({why}): nothing may be claimed."


def _rows(segments: Segments, name: str, what: str) -> str:
    if name not in segments:
        return f"0 {what}"
    counts = segments[name]
    return f"{counts['rows']:,} {what}" + (f" ({whose(counts)})" if "users" in counts else "")


def _unguarded(subject: str, against: Against, segment: str) -> list[str]:
    """Return the guards that the subject is not shown to beat, including those that were not trained."""
    guards = [guard for guard in guards_of(subject, against) if verdict_on(_auc(against, guard, segment)) != "better"]
    return [*guards, *missing_guards(subject, against)]


def _compare(subject: str, against: Against, segments: Segments, segment: str) -> str:
    """Compare with every control on one segment."""
    if why := without_interval(segments.get(segment, {})):
        return why
    names = compared_with(subject, against)
    found = [_auc(against, name, segment) for name in names]
    verdicts: list[Verdict] = [verdict_on(gain) for gain in found]
    if all(verdict == "unknown" for verdict in verdicts):
        return "no interval, too few rows of both labels"
    unguarded = _unguarded(subject, against, segment) if "better" in verdicts else []
    clauses = [_clause(*one, not unguarded) for one in zip(names, found, verdicts, strict=True)]
    text = clauses[0]
    for i, clause in enumerate(clauses[1:], start=1):
        text += (" and " if verdicts[i] == verdicts[i - 1] else ", but ") + clause
    if unguarded:
        beaten = [name for name in unguarded if name in against]
        absent = [name for name in unguarded if name not in against]
        told = _and([f"{_name(name)} ({_figures(_auc(against, name, segment))})" for name in beaten])
        reasons = [f"not shown to be better than {told}"] if beaten else []
        reasons += [f"{_and(absent)} {'was' if len(absent) == 1 else 'were'} not trained"] if absent else []
        text += f"; but {' and '.join(reasons)}, so the gain may not come from the content of the texts"
    return text


def _clause(control: str, gain: Gain, verdict: Verdict, guarded: bool) -> str:
    name = _name(control)
    claim = {
        "better": f"better than {name}" if guarded else f"ahead of {name}",
        "worse": f"a loss against {name}",
        "none": f"no gain shown over {name}",
        "unknown": f"no interval against {name}",
    }[verdict]
    return claim if verdict == "unknown" else f"{claim} ({_figures(gain)})"


def _figures(gain: Gain) -> str:
    if gain["low"] is None:
        return "no interval"
    return f"{signed(gain['mean'])} AUC, 95% interval {interval(gain)}"


def _auc(against: Against, control: str, segment: str) -> Gain:
    return against[control].get(segment, {}).get("auc", NO_GAIN)


def _name(control: str) -> str:
    return CONTROLS.get(control, f"the control {control}")


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _inside(text: str, result: Mapping[str, Any]) -> str:
    """Lower the first letter of a conclusion that follows a colon, unless it is the name of an arm."""
    subject = subject_of(list(result["gains"]), result["controls"])
    if subject is not None and text.startswith(_sentence(subject)):
        return subject + text[len(subject) :]
    return text[0].lower() + text[1:]
