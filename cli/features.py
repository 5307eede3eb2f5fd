"""knowflow features: adds what a release knew of users and items to a team's own rows."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.feature_choice import FeatureChoice
from app.features import FeatureFile, make_features
from app.given_rows import RowColumns, undated
from app.progress import progress
from base.words import count_rows
from cli.feature_options import EncoderNames, FeatureNames, TaskNames
from cli.output import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    bars,
    print_json,
    print_line,
    print_table,
    say,
    split_names,
)
from feature_store.parquet_chunks import Compression


def features(
    *,
    rows: Annotated[Path, Parameter(help="Parquet file of rows: user, item, time, and any other columns.")],
    out: Annotated[Path, Parameter(help="Parquet file to write; NAME.schema.json beside it says what columns mean.")],
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    tasks: TaskNames = None,
    encoders: EncoderNames = None,
    columns: FeatureNames = None,
    adapters: Annotated[
        str | None,
        Parameter(help="Also compute from the log what these adapters read, such as similarity,quality; slow."),
    ] = None,
    half: Annotated[
        bool, Parameter(negative="", help="Write vectors in half precision, as the store holds them: half the size.")
    ] = False,
    indexed: Annotated[
        bool, Parameter(negative="", help="Write each vector once, to a table beside the file, and its number per row.")
    ] = False,
    compression: Annotated[Compression, Parameter(help="How the file is compressed.")] = "uncompressed",
    user_column: Annotated[str | None, Parameter(help="Column of the user. Default: user, or that of events.")] = None,
    item_column: Annotated[str | None, Parameter(help="Column of the item. Default: item, or that of events.")] = None,
    time_column: Annotated[
        str | None,
        Parameter(help="Column of the time. Default: time, or that of events; without one, a row sees everything."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Add to your rows what a release knew of their users and items strictly before their times.

    Every row is kept, in its order; a feature is null where nothing was known yet. Rows go through in chunks.

    Example: knowflow features --rows impressions.parquet --out features.parquet
    """
    settings = load_config(config)
    names = [split_names(one) for one in (tasks, encoders, columns)]
    choice = FeatureChoice(*names, adapters=split_names(adapters) or (), half=half, indexed=indexed)
    named = RowColumns(user_column, item_column, time_column)
    with bars():
        made = make_features(settings, rows, out, release, choice, named, compression, progress())
    if json:
        print_json(vars(made))
        return 0
    _print(made)
    return 0


def _print(made: FeatureFile) -> None:
    cells = [[name, f"{count:,}", f"{100 * count / max(made.rows, 1):.1f}%"] for name, count in made.known.items()]
    print_table(f"features of {count_rows(made.rows)} by {made.release}", ["feature", "rows known", "share"], cells)
    if made.live:
        say(undated(made.live))
    print_line(f"features  {made.file}\nschema    {made.schema_file}")
    if made.tables is not None:
        print_line(f"tables    {made.tables}")
