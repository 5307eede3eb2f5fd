"""knowflow score: scores pairs of users and items with a kept model."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from base.words import count_rows
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say


def score(
    *,
    rows: Annotated[Path, Parameter(help="Pairs: a Parquet, CSV or JSON lines file with user, item and time.")],
    out: Annotated[Path, Parameter(help="File for the same rows with a column `score`, by its suffix.")],
    model: Annotated[str, Parameter(help="An arm of the newest training run, RUN/ARM, or a model's folder.")],
    config: ConfigPath = DEFAULT_CONFIG,
    release: Annotated[
        str | None, Parameter(help="Release whose vectors to read; default: the one it was trained on.")
    ] = None,
    user_column: Annotated[str | None, Parameter(help="Column of users; default: user, or that of the events.")] = None,
    item_column: Annotated[str | None, Parameter(help="Column of items; default: item, or that of the events.")] = None,
    time_column: Annotated[
        str | None, Parameter(help="Column of times, missing or empty = live; default: time, or that of the events.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Score pairs of a user and an item with a kept model.

    A pair with a time sees only what is strictly earlier; one without a time comes after everything that the log and
    the release hold. No pair sees another one. Unknown users and items are scored too.

    Example: knowflow score --rows pairs.parquet --out scores.parquet --model knowledge
    """
    settings = load_config(config)
    from app.given_rows import RowColumns, undated  # noqa: PLC0415
    from app.kept_models import find_model  # noqa: PLC0415 - takes seconds to import
    from app.row_files import READERS, check_files, read_rows, write_rows  # noqa: PLC0415
    from app.scoring import count_live, score_pairs  # noqa: PLC0415

    check_files(rows, out, "scores.parquet", READERS)
    kept, pairs = find_model(settings, model), read_rows(rows)
    columns = RowColumns(user_column, item_column, time_column)
    scored = score_pairs(settings, kept, pairs, release, columns)
    write_rows(scored, out)
    facts = {
        "rows": len(scored),
        "live": count_live(settings, pairs, columns),
        "model": str(kept.folder),
        "release": release or kept.release,
        "mean_score": scored["score"].mean(),
        "file": str(out),
    }
    if json:
        print_json(facts)
        return 0
    if facts["live"]:
        say(undated(facts["live"]))
    print_line(f"{count_rows(len(scored))} scored by {kept.folder}, vectors of {facts['release']}\nscores   {out}")
    return 0
