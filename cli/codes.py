"""knowflow codes: make codes of released vectors, such as semantic ids, and publish them."""

from typing import Annotated, Any

from cyclopts import Parameter

from app.code_making import make_codes
from app.config import load_config
from app.progress import progress
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line
from cli.settings import read_settings


def codes(
    maker: Annotated[str, Parameter(help="Name of a code maker.")],
    /,
    *,
    vectors: Annotated[str, Parameter(help="Vectors to make codes of: technique/encoder of the current release.")],
    config: ConfigPath = DEFAULT_CONFIG,
    settings: Annotated[
        list[str] | None,
        Parameter(name="--set", negative="", help="OPTION=VALUE: an option of the code maker; repeatable."),
    ] = None,
    seed: Annotated[int, Parameter(help="Random seed.")] = 0,
    json: AsJson = False,
) -> int:
    """Make codes of the current release's vectors, and publish a release that also holds the codes.

    Example: knowflow codes rqvae --vectors item_facts/dense --config examples/movielens/knowflow.yaml
    """
    options = read_settings([f"{maker}.{one}" for one in settings or []])
    with bars():
        made = make_codes(load_config(config), maker, vectors, progress(), options.get(maker), seed)
    if json:
        print_json(made)
        return 0
    print_line(f"{made['name']}: {made['levels']} codes for each of {made['rows']:,} rows of {vectors}")
    for name, figure in made["figures"].items():
        print_line(f"  {name:20} {_shown(figure)}")
    print_line(f"release {made['release']}")
    return 0


def _shown(figure: Any) -> str:
    """Format a figure, or a list with one figure per level."""
    values = figure if isinstance(figure, list) else [figure]
    return "  ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in values)
