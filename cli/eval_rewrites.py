"""knowflow eval rewrites: measures what rewritten queries find that the original ones do not."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from app.config import load_config
from app.progress import progress
from app.rewrite_evaluation import evaluate_rewrites
from base.faults import WrongUse
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from evals.page import Table, render_page
from evals.rewrites import HEADLINE
from evals.rewrites_page import CAVEATS, arm_table, calibration_table, conclusion, page_sections, segment_table

TAKEN = ("original", "spelling", "rm3", "dense", "original_dense", "recorded", "served")
"""Names of the built-in arms."""


def rewrites(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    arms: Annotated[
        list[str] | None,
        Parameter(
            name="--rewrites",
            negative="",
            help="NAME=FILE: a further arm, a Parquet file with columns query and rewrites; repeatable.",
        ),
    ] = None,
    relevance: Annotated[
        Literal["lexical", "dense"] | None,
        Parameter(help="Relevance model; default: the better calibrated one."),
    ] = None,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    page: Annotated[
        Path | None, Parameter(help="The page to write; default: rewrites.html in the home folder.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Search for every query as typed and as rewritten, compare what is found, and write a page with examples.

    Example: knowflow eval rewrites --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    files = _files(arms or [])
    with bars():
        result, inputs, judged = evaluate_rewrites(settings, files, relevance, release, progress())
    titles = inputs.items["title"].fill_null("").to_list()
    sections = page_sections(result, inputs.queries, inputs.rewrites, judged.arms, judged.hits, titles)
    path = page or settings.home_folder / "rewrites.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["knowflow", *sys.argv[1:]])
    html = render_page("What query rewriting is worth", datetime.now(UTC), command, sections, conclusion(result))
    path.write_text(html, encoding="utf-8")
    if json:
        print_json({**result, "page": str(path)})
        return 0
    for name in reversed(result["documents"]):
        _print(segment_table(result, name))
    _print(arm_table(result, result["headline"]["documents"], HEADLINE))
    _print(calibration_table(result))
    for one in result["left_out"]:
        say(f"left out: {one}")
    print_line(f"{conclusion(result)}\npage  {path}")
    say(f"note: {CAVEATS[1]}")
    return 0


def _print(table: Table) -> None:
    print_table(table.caption, table.columns, table.rows)


def _files(arms: list[str]) -> dict[str, Path]:
    """Read NAME=FILE pairs and report all faults at once.

    Raises:
        WrongUse: An argument is not such a pair, or its name is taken.
    """
    files: dict[str, Path] = {}
    faults: list[str] = []
    for arm in arms:
        name, _, path = arm.partition("=")
        if not path or not name.isidentifier():
            faults.append(f"--rewrites {arm}: should be NAME=FILE, with a name of letters, digits and _")
        elif name in files or name in TAKEN:
            faults.append(f"--rewrites {arm}: the name '{name}' is taken by another arm")
        else:
            files[name] = Path(path)
    if faults:
        raise WrongUse("\n".join(faults) + "\n  example: --rewrites tuned=tuned.parquet")
    return files
