"""knowflow eval similar: measures how many of the items that people choose next are near in an encoder's vectors."""

import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from app.config import load_config
from app.progress import progress
from app.similar_evaluation import evaluate_similar
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from evals.by_user import crowd, shown
from evals.page import Section, Table, render_page
from evals.similar_arms import FROZEN, HEADLINE, TUNED
from evals.words import fixed
from tuning.workfolder import RESULT

CAVEATS = (
    "Intervals draw the users whose logs show what people chose next. Largest user: the largest share of the figure"
    " from one user. Under 20 users there is no interval.",
    "Pairs show what people chose next, not what they would have liked if it had been shown.",
    "Popularity is counted on training events, those of tested items included; a new item has no such counts.",
    "In `held-out queries` the query item was in no learnt pair; the items to be found may have been.",
    "In `disjoint` neither was; the pool contains learnt items as well.",
    "`co-occurrence` has seen the training events from which pairs are scored; only `later events` is fair to it.",
)


def similar(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    encoder: Annotated[
        Path | None, Parameter(help="Folder of a tuned encoder; default: encoders/note in the home folder.")
    ] = None,
    page: Annotated[Path | None, Parameter(help="The page to write; default: similar.html in the home folder.")] = None,
    json: AsJson = False,
) -> int:
    """Compare item vectors on items that no encoder was tuned on; tune an encoder first when there is none.

    Example: knowflow eval similar --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    own = settings.home_folder / "encoders" / "note"
    if encoder is None and not (own / RESULT).is_file():
        say(f"no tuned encoder yet: tuning one now in {own}, which takes a minute or two")
    with bars():
        result = evaluate_similar(settings, encoder, progress())
    tables = shown_tables(result)
    path = page or settings.home_folder / "similar.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    sections = [Section("Recall", "Shares of what people went on to.", tables), Section("Caveats", points=CAVEATS)]
    command = shlex.join(["knowflow", *sys.argv[1:]])
    html = render_page("What item vectors are worth", datetime.now(UTC), command, sections, conclusion(result))
    path.write_text(html, encoding="utf-8")
    if json:
        print_json({**result, "page": str(path)})
        return 0
    for table in tables:
        print_table(table.caption, table.columns, table.rows)
    print_line(f"{conclusion(result)}\npage  {path}")
    return 0


def conclusion(result: Mapping[str, Any]) -> str:
    """Return the conclusion in three sentences."""
    strict = result["disjoint"]
    tuned, frozen, tuned_strict, frozen_strict = (
        fixed(one[arm], 3) for one in (result, strict) for arm in ("tuned", "frozen")
    )
    return (
        f"For query items that were not learnt, {result['headline']['metric']} is {tuned} for the tuned encoder and "
        f"{frozen} for the frozen one: {shown(result['gain'])}. With a popularity prior it differs from popularity "
        f"alone by {shown(result['prior_gain'])}. "
        f"When the items to be found were not learnt either ({tuned_strict} and {frozen_strict}): "
        f"{shown(strict['gain'])}, with the prior {shown(strict['prior_gain'])}."
    )


def shown_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return a table of the gains in all settings, then one table of all arms per setting."""
    k = str(result["headline"]["k"])
    return [_gains(result["settings"], k), *(_table(name, one, k) for name, one in result["settings"].items())]


def _gains(settings: Mapping[str, Mapping[str, Any]], k: str) -> Table:
    """Tabulate what tuning gains in every setting, with intervals over users."""
    rows = []
    for name, one in settings.items():
        found = {arm: of["recall"][k] for arm, of in one["arms"].items()}
        shares = [fixed(found[arm], 3) for arm in (FROZEN, TUNED, "popularity", f"{TUNED} + prior")]
        gains = [shown(one["gain"]), *shares[2:], shown(one["prior_gain"])]
        rows.append([name, *shares[:2], *gains, *crowd(one["gain"])])
    columns = ["setting", "frozen", "tuned", "gain", "popularity", "tuned + prior", "gain over popularity"]
    columns += ["users", "largest user"]
    return Table(f"recall@{k}, with 95% intervals that draw users", columns, rows, HEADLINE)


def _table(name: str, one: Mapping[str, Any], k: str) -> Table:
    caption = f"{name}: {one['queries']:,} queries ({one['cold_queries']:,} cold), {one['pairs']:,} pairs"
    rows = [
        [
            arm,
            *(fixed(value, 3) for value in found["recall"].values()),
            fixed(found["cold"][k] if found["cold"] else None, 3),
            "" if found["prior_weight"] is None else f"{found['prior_weight']:g}",
        ]
        for arm, found in one["arms"].items()
    ]
    lengths = [f"recall@{length}" for length in one["arms"][FROZEN]["recall"]]
    return Table(caption, ["arm", *lengths, f"cold: recall@{k}", "weight of prior"], rows, "tuned")
