"""Tables of the evaluation of recommenders, the same for the terminal and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from evals.by_user import crowd, shown, verdict
from evals.page import Section, Table
from evals.top_k import ALL
from evals.words import NOTHING, fixed

HEADLINE = "ndcg"
"""The headline measure."""
LENGTH = 10
"""The list length of the headline, or the longest one below it."""
CAVEATS = (
    "Wanted are the items that a user liked at the moment of the request; an item that the user would have liked but"
    " did not try counts as a miss.",
    "Models are fitted on training events only. Under a split by each user's position, training events of others may be"
    " later than a request; with split: {by: global_time} none is.",
    "Every user counts once, however many requests there are. Intervals draw users; coverage is a figure of all lists"
    " together and has no interval.",
    "For every model, all items that a user has not had are candidates.",
)


def headline(result: Mapping[str, Any]) -> str:
    """Return the headline figure: `ndcg@10` if lists are that long."""
    lengths = [k for k in result["at"] if k <= LENGTH] or [min(result["at"])]
    return f"{HEADLINE}@{max(lengths)}"


def conclusion(result: Mapping[str, Any]) -> str:
    """Say which model is best and what its intervals allow to claim."""
    figure = headline(result)
    means = {name: of[ALL][figure]["mean"] for name, of in result["models"].items()}
    best = max(means, key=lambda name: means[name])
    gains = result["models"][best][ALL][figure]["gains"]
    lines = [f"The best of {len(means)} models by {figure} is {best}, with {fixed(means[best], 4)}."]
    for control, gain in gains.items():
        lines.append(f"Against {control}: {shown(gain, 4)}, {verdict(gain, 'better', 'worse', 'no gain is shown')}.")
    return " ".join(lines)


def headline_table(result: Mapping[str, Any]) -> Table:
    """Tabulate every model by the headline figure, with its gains over the controls."""
    figure, controls = headline(result), result["controls"]
    rows = []
    for name, of in result["models"].items():
        one = of[ALL][figure]
        span = NOTHING if one["low"] is None else f"[{fixed(one['low'])}, {fixed(one['high'])}]"
        gains = [shown(one["gains"].get(control), 4) for control in controls]
        rows.append([name, fixed(one["mean"]), span, *gains, *crowd(one)])
    columns = ["model", figure, "95%", *(f"against {control}" for control in controls), "users", "largest user"]
    size = result["segments"][ALL]
    return Table(
        f"{size['queries']:,} requests of {size['users']:,} users, 95% intervals that draw users", columns, rows
    )


def measure_table(result: Mapping[str, Any], k: int) -> Table:
    """Tabulate every model by every measure at one length."""
    figures = [f"{name}@{k}" for name in result["measures"]]
    rows = [[name, *(fixed(of[ALL][figure]["mean"]) for figure in figures)] for name, of in result["models"].items()]
    return Table(f"lists of {k}", ["model", *figures], rows)


def segment_table(result: Mapping[str, Any]) -> Table:
    """Tabulate every model by the headline figure in every segment."""
    figure, segments = headline(result), result["segments"]
    rows = [[name, *(fixed(of[one][figure]["mean"]) for one in segments)] for name, of in result["models"].items()]
    columns = [f"{name} ({size['queries']:,})" for name, size in segments.items()]
    return Table(f"{figure} by segment (requests)", ["model", *columns], rows)


def shown_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables for the terminal and the page."""
    return [headline_table(result), *(measure_table(result, k) for k in result["at"]), segment_table(result)]


def page_sections(result: Mapping[str, Any], tables: Sequence[Table]) -> list[Section]:
    """Return all sections of the page."""
    models = [f"{name}: {about}" for name, about in result["about"].items()]
    measures = [f"{name}@k: {about}" for name, about in result["measures"].items()]
    return [
        Section(
            "Figures", "Every model is fitted on training events and asked at the moment of every test event.", tables
        ),
        Section("Models", points=models),
        Section("Measures", points=measures),
        Section("Caveats", points=[*CAVEATS, *(f"Left out: {n}: {why}" for n, why in result["left_out"].items())]),
    ]
