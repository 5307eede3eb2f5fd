"""The report: one self-contained HTML file that needs no network, no script and no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from evals.checks import gain_of
from evals.metrics import METRICS
from evals.page import page_environment
from evals.protocols import Protocol, panels_of, protocols_of
from evals.reliability import Uncalibrated, calibration
from evals.words import LEAST_USERS, fixed, percent, segment_name, signed, whose, without_interval

FEW_SEEDS = 5
"""With fewer training seeds the report adds a warning."""
RELEASE_FACTS = {
    "data_version": "Version of the data",
    "model": "Model that answered",
    "domain": "Domain",
    "tasks": "Tasks",
}
"""Facts of a release that are shown unchanged, and their headings."""


@dataclass(frozen=True)
class InContext:
    """The in-context examples that arms show."""

    arms: Mapping[str, Mapping[str, float | None]]
    """Arm -> examples (in the pool), k, shortage_share, similarity_mean, days_back_median and recall."""
    cost: Mapping[str, Any]
    """The cost of the pool: its row of `ReportContext.costs`."""
    samples: Sequence[Mapping[str, Any]]
    """Samples to show: user, item, time, label, lacking (number of examples that the guards left unfilled), and
    examples (user, item, time, label, similarity and text of each)."""


@dataclass(frozen=True)
class ReportContext:
    """Everything a report shows besides the figures of the evaluation."""

    title: str
    """Heading of the page."""
    made_at: datetime
    """When the report was made."""
    command: str
    """Command that makes it again."""
    data: Mapping[str, object]
    """What the models were trained on, in display order: rows, users, items, split, label rule and so on."""
    arms: Mapping[str, str]
    """Arm -> one sentence about it, in display order."""
    calibration: Mapping[str, Sequence[tuple[float, float, int]]]
    """Arm -> points of its reliability curve (predicted, observed, predictions): `reliability.calibration_curves`."""
    coverage: Sequence[Mapping[str, Any]]
    """One per task: task, entity, rows, entities, and the shares all, test, cold of samples that see a row of it; the
    shares are None for rows about events, which are not looked up by sample."""
    costs: Sequence[Mapping[str, Any]]
    """One per task: task, rows, calls, cached, input_tokens, output_tokens, cost, currency."""
    token_counter: str
    """How tokens were counted, as a continuation of `Tokens were`: counted with the model's own tokenizer."""
    examples: Sequence[Mapping[str, Any]]
    """Answers to show: task, entity, as_of, messages (a list of role and content), answer, prompt."""
    release: Mapping[str, Any]
    """The release that was read: name, created_at, versions (table -> version), facts (as published)."""
    caveats: Sequence[str]
    """What a reader must know before believing a number, one sentence each."""
    seeds: int
    """Training seeds per arm."""
    seconds: float | None
    """CPU seconds of training; None if unknown."""
    in_context: InContext | None = None
    """The examples that arms show; None if no arm shows any."""
    uncalibrated: Mapping[str, Uncalibrated] = field(default_factory=dict)
    """Arm -> its predictions before calibration, for those that are calibrated: `reliability.before_calibration`."""


def render_report(result: Mapping[str, Any], context: ReportContext) -> str:
    """Write the report.

    Args:
        result: What `evals.evaluate.evaluate` returned, or the same read back from JSON; optionally with `rolling` (the
            result of rolling time, with its `cuts`: share, time, train_rows, test_rows, test_users) and `looks` (how
            often test rows of this data were looked at).
        context: Everything else.

    Returns:
        One HTML page. Everything from data or a model is escaped, and the page's own policy forbids scripts and
        external resources.
    """
    environment = page_environment()
    environment.filters.update(
        fixed=fixed,
        signed=signed,
        percent=percent,
        segment=segment_name,
        whose=whose,
        without_interval=without_interval,
        show=show,
        moment=moment,
        count=count,
    )
    return environment.get_template("report.html.j2").render(**_view(result, context))


def _view(result: Mapping[str, Any], context: ReportContext) -> dict[str, Any]:
    """Return everything the templates show, so that they compute nothing."""
    protocols = protocols_of(result, list(context.arms))
    facts = dict(context.release.get("facts") or {})
    return {
        "result": result,
        "context": context,
        "protocols": protocols,
        "panels": panels_of(protocols),
        "cuts": [
            {**cut, "time": datetime.fromisoformat(cut["time"])}
            for cut in (result.get("rolling") or {}).get("cuts") or ()
        ],
        "looks": result.get("looks"),
        "least_users": LEAST_USERS,
        "metrics": list(METRICS.values()),
        "calibration": calibration(context.calibration, protocols[0].arms, context.uncalibrated),
        "totals": _totals(context.costs),
        "facts": facts,
        "release_facts": [(name, facts[key]) for key, name in RELEASE_FACTS.items() if key in facts],
        "caveats": [*context.caveats, *_own_caveats(protocols, context)],
    }


def _totals(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum the cost table; money by currency."""
    money: dict[str, float] = {}
    for cost in costs:
        money[cost["currency"]] = money.get(cost["currency"], 0.0) + cost["cost"]
    sums = {key: sum(c[key] for c in costs) for key in ("rows", "calls", "cached", "input_tokens", "output_tokens")}
    return {**sums, "cost": money}


def _own_caveats(protocols: Sequence[Protocol], context: ReportContext) -> list[str]:
    """Return caveats that follow from the figures themselves."""
    shown = sum(
        gain_of(one.result, arm, control, segment, "auc")["low"] is not None
        for one in protocols
        for arm, by_control in one.result["gains"].items()
        for control in by_control
        for segment in one.result["segments"]
    )
    own = [
        f"There are {shown:,} intervals per metric, which are not corrected for their number: "
        "even without any gain or loss, about one in twenty excludes 0."
    ]
    if context.seeds < FEW_SEEDS:
        own.insert(0, f"Only {context.seeds} training seeds per arm: the spread between seeds is hardly known.")
    return own


def count(value: int) -> str:
    """Format a whole number with separators."""
    return f"{value:,}"


def show(value: object) -> str:
    """Format a value of any kind as text."""
    match value:
        case None:
            text = "–"
        case bool():
            text = "yes" if value else "no"
        case int():
            text = count(value)
        case float():
            text = f"{value:,.4f}".rstrip("0").rstrip(".")
        case datetime():
            text = moment(value)
        case Mapping():
            text = ", ".join(f"{key} {show(inner)}" for key, inner in value.items())
        case list() | tuple():
            text = ", ".join(show(inner) for inner in value)
        case _:
            text = str(value)
    return text


def moment(value: object) -> str:
    """Format a time in UTC; knowledge as of the epoch is valid at any time, because it has seen no event."""
    if not isinstance(value, datetime):
        return show(value)
    if value.year == 1970:
        return "any time"
    return (value.astimezone(UTC) if value.tzinfo else value).strftime("%Y-%m-%d %H:%M UTC")
