"""knowflow eval recommend: compares recommenders that rank all items."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from app.progress import progress
from app.recommend_evaluation import FOLDER, evaluate_recommenders
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from cli.settings import read_settings
from evals.page import render_page
from evals.recommend_page import conclusion, page_sections, shown_tables


def recommend(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    models: Annotated[
        list[str] | None,
        Parameter(name="--model", negative="", help="A recommender; repeatable. Default: all."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        Parameter(name="--set", negative="", help="MODEL.OPTION=VALUE: an option of a recommender; repeatable."),
    ] = None,
    seeds: Annotated[
        int, Parameter(help="Number of seeds: how often each recommender is fitted.", validator=Number(gte=1))
    ] = 1,
    part: Annotated[
        Literal["validation", "test"],
        Parameter(help="Part of the events to evaluate on; use validation to choose options."),
    ] = "test",
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    page: Annotated[
        Path | None, Parameter(help="The page to write; default: recommend.html in the home folder.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Fit recommenders on training events, measure their top k at each test event, and write a page.

    Example: knowflow eval recommend --config examples/movielens/knowflow.yaml
    """
    opened, options = load_config(config), read_settings(settings or [])
    with bars():
        result = evaluate_recommenders(opened, progress(), models, options, release, seeds, part)
    tables = shown_tables(result)
    path = page or opened.home_folder / "recommend.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["knowflow", *sys.argv[1:]])
    sections = page_sections(result, tables)
    html = render_page("What recommenders are worth", datetime.now(UTC), command, sections, conclusion(result))
    path.write_text(html, encoding="utf-8")
    if json:
        print_json({**result, "page": str(path)})
        return 0
    for table in tables:
        print_table(table.caption, table.columns, table.rows)
    for name, why in result["left_out"].items():
        say(f"left out: {name}: {why}")
    print_line(f"{conclusion(result)}\nmodels  {opened.home_folder / FOLDER}\npage  {path}")
    return 0
