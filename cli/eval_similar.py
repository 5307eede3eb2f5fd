"""knowflow eval similar: how many of the items that people go on to are near by an encoder's vectors."""

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
    "Intervals draw the users whose logs say what people went on to. Largest user: the share of the figure that one of"
    " them brings. Under 20 users there is no interval.",
    "Pairs are what people went on to, not what they would have liked had they been shown it.",
    "Popularity is counted on training events of tested items too; a new item has no such counts.",
    "In `held-out queries` the item that is asked about was in no learnt pair; those to be found may have been.",
    "In `disjoint` neither was; learnt items stand in the pool as well.",
    "`co-occurrence` has seen training events that the pairs as scored rest on; only `later events` is fair to it.",
)


def similar(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    encoder: Annotated[
        Path | None, Parameter(help="Folder of a tuned encoder; encoders/note in the home folder if left out.")
    ] = None,
    page: Annotated[
        Path | None, Parameter(help="The page to write; similar.html in the home folder if left out.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Compare item vectors on items that no encoder was tuned on; tunes one first when there is none.

    Example: knowflow eval similar --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    own = settings.home_folder / "encoders" / "note"
    if encoder is None and not (own / RESULT).is_file():
        say(f"there is no tuned encoder: one is tuned now, which takes a minute or two, and kept in {own}")
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
    """What came out, in three sentences."""
    strict = result["disjoint"]
    tuned, frozen, tuned_strict, frozen_strict = (
        fixed(one[arm], 3) for one in (result, strict) for arm in ("tuned", "frozen")
    )
    return (
        f"Asked about items that were not learnt, {result['headline']['metric']} is {tuned} for the tuned encoder and "
        f"{frozen} for the frozen one: {shown(result['gain'])}. With a popularity prior it differs from popularity "
        f"alone by {shown(result['prior_gain'])}. "
        f"Where what is to be found was not learnt either ({tuned_strict} and {frozen_strict}): "
        f"{shown(strict['gain'])}, with the prior {shown(strict['prior_gain'])}."
    )


def shown_tables(result: Mapping[str, Any]) -> list[Table]:
    """The gains of all settings, then all arms of each."""
    k = str(result["headline"]["k"])
    return [_gains(result["settings"], k), *(_table(name, one, k) for name, one in result["settings"].items())]


def _gains(settings: Mapping[str, Mapping[str, Any]], k: str) -> Table:
    """What tuning gains in every setting, with intervals over users."""
    rows = []
    for name, one in settings.items():
        found = {arm: of["recall"][k] for arm, of in one["arms"].items()}
        told = [fixed(found[arm], 3) for arm in (FROZEN, TUNED, "popularity", f"{TUNED} + prior")]
        gains = [shown(one["gain"]), *told[2:], shown(one["prior_gain"])]
        rows.append([name, *told[:2], *gains, *crowd(one["gain"])])
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
