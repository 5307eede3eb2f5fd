"""The gate over cost: what a refresh took, against what its plan said."""

from collections.abc import Iterable, Mapping
from typing import Any

from feature_store.gate import Gate

COMPARED = (("calls", "calls"), ("input_tokens", "tokens in"), ("output_tokens", "tokens out"))
"""What is compared, with its words."""


def cost_gates(asked: Iterable[Mapping[str, Any]], most: float) -> list[Gate]:
    """Compare what each technique took with its plan; a technique without calls, or without a plan, has no gate.

    Args:
        asked: What generation did, by technique: task, calls, input_tokens, output_tokens, and the same with `planned_`
            before it, None where the plan knew nothing.
        most: How many times the plan may be taken.

    Example:
        >>> one = {"task": "kar_item", "calls": 2, "input_tokens": 90, "output_tokens": 50}
        >>> plan = {"planned_calls": 2, "planned_input_tokens": 30, "planned_output_tokens": None}
        >>> cost_gates([one | plan], 1.5)[0].found
        '2 calls (planned: 2), 90 tokens in (planned: 30): 3.00 times the plan, at most 1.5'
    """
    gates = []
    for one in asked:
        known = [(one[name], one.get(f"planned_{name}"), words) for name, words in COMPARED]
        pairs = [(took, planned, words) for took, planned, words in known if planned]
        if not one["calls"] or not pairs:
            continue
        times = max(took / planned for took, planned, _ in pairs)
        told = ", ".join(f"{took:,} {words} (planned: {planned:,})" for took, planned, words in pairs)
        found = f"{told}: {times:.2f} times the plan, at most {most:g}"
        gates.append(Gate(f"{one['task']} cost", times <= most, found, setting="cost"))
    return gates
