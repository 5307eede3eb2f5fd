"""knowflow export: writes what a release knows of items and users for other tools."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.exporting import export_release
from app.feature_choice import FeatureChoice
from cli.feature_options import EncoderNames, FeatureNames, TaskNames
from cli.moment import moment_of
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, print_table, split_names


def export(
    *,
    format: Annotated[
        str,
        Parameter(
            help="parquet, npz, lance, feast, sentence-transformers, recbole, fuxictr, or a plug-in of your own."
        ),
    ],
    out: Annotated[Path, Parameter(help="Folder to write, new or empty.")],
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    tasks: TaskNames = None,
    encoders: EncoderNames = None,
    columns: FeatureNames = None,
    before: Annotated[
        str | None,
        Parameter(help="Only what was known strictly before this time, such as 2018-09-24T10:00:00 (UTC)."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Write what a release knows of items and users in the format of another tool.

    Example: knowflow export --format feast --out feast_repo
    """
    choice = FeatureChoice(split_names(tasks), split_names(encoders), split_names(columns))
    made = export_release(load_config(config), format, out, release, choice, moment_of("--before", before))
    if json:
        print_json(vars(made))
        return 0
    print_table(
        f"{format} of {made.release}", ["feature", "rows"], [[name, rows] for name, rows in made.tables.items()]
    )
    print_line(f"written to {made.folder}")
    for step in made.steps:
        print_line(f"  {step}")
    return 0
