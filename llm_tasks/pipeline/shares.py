"""How the techniques of a run share its budget: by weights, and what one of them leaves goes to the others."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llm_tasks.pipeline.budget import Budget, Limits

SUMS = (
    "calls",
    "answered",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "seconds",
    "cost",
    "cut_off",
    "withdrawn",
)
"""Counts of a technique that add up when it is asked twice in a run."""
PLANNED = ("planned_calls", "planned_input_tokens", "planned_output_tokens", "cached")
"""What the first plan of a technique says about the whole run."""
Done = dict[str, Any]
"""What generation did for one technique; see `Generated`."""


def ask_in_shares(
    needs: Mapping[str, Sequence[str]],
    weights: Mapping[str, float | None],
    ask: Callable[[str, list[Done], float], Done],
) -> dict[str, Done]:
    """Ask all techniques of a run within one budget.

    Without any weight, the techniques are asked in order, and the first one that reaches the limit ends the run. With
    weights (1 where a technique has none), each one stops at its share of what is left and the next one goes on; those
    that stopped are asked again with what the others left, until all is spent or nothing is left to ask. A technique
    that reads the answers of another one waits until that one has all of its own; its share is kept for it until then,
    unless that one stopped.

    Args:
        needs: Technique -> the techniques whose answers it reads; in the order in which they are asked.
        weights: Technique -> its weight, or None.
        ask: Asks one technique, given what was done before and its part of what is left of the limits; see `share_of`.
            Returns what it did, with `left` if its budget was spent.

    Returns:
        Technique -> what was done; those that were never asked are missing.
    """
    shared = any(weights[name] is not None for name in needs)
    done: dict[str, Done] = {}
    todo = list(needs)
    while ready := [name for name in todo if not set(needs[name]) & set(todo)]:
        kept = _may_follow(todo, needs, {name for name in todo if name in done})
        for place, name in enumerate(ready):
            each = [weights[other] or 1.0 for other in (*ready[place:], *kept)]
            now = ask(name, list(done.values()), each[0] / sum(each) if shared else 1.0)
            done[name] = _together(done[name], now) if name in done else now
            if now["left"] and not shared:
                return done
        stopped = [name for name in ready if done[name]["left"]]
        if ready[-1] in stopped and not kept:  # the last one had all that was left
            return done
        todo = [name for name in todo if name not in ready or name in stopped]
    return done


def _may_follow(todo: Sequence[str], needs: Mapping[str, Sequence[str]], stopped: set[str]) -> list[str]:
    """Return the techniques that wait for others, none of which has stopped."""
    stuck, waiting = set(stopped), []
    for name in todo:  # the techniques that one reads come before it
        if set(needs[name]) & stuck:
            stuck.add(name)
        elif set(needs[name]) & set(todo):
            waiting.append(name)
    return waiting


def share_of(limits: Limits, done: Sequence[Done], part: float) -> Budget:
    """Return the budget of a technique: what the run has spent, and a part of what is left of its limits.

    Example:
        >>> spent = {"input_tokens": 150, "output_tokens": 50, "cost": 0.0, "seconds": 0.0}
        >>> share_of(Limits(max_tokens=1000), [spent], part=0.75).limits.max_tokens
        800
    """
    tokens = sum(one["input_tokens"] + one["output_tokens"] for one in done)
    cost = sum(one["cost"] for one in done)
    seconds = sum(one["seconds"] for one in done)

    def upto(limit: float | None, spent: float) -> float | None:
        return None if limit is None else spent + max(limit - spent, 0.0) * part

    most = upto(limits.max_tokens, tokens)
    mine = Limits(
        None if most is None else int(most), upto(limits.max_cost, cost), upto(limits.max_hours, seconds / 3600)
    )
    return Budget(mine, tokens, cost, begun=time.monotonic() - seconds)


def _together(first: Done, second: Done) -> Done:
    """Return what two rounds did for one technique."""
    sums = {name: first[name] + second[name] for name in SUMS}
    return {**second, **sums, **{name: first[name] for name in PLANNED if name in first}}
