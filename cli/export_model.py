"""knowflow export-model: writes a kept model with the features of a release, for a server that answers requests."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line


def export_model(
    *,
    model: Annotated[str, Parameter(help="An arm of the newest training run, RUN/ARM, or a model's folder.")],
    config: ConfigPath = DEFAULT_CONFIG,
    release: Annotated[
        str | None, Parameter(help="Release whose vectors it holds; default: the current one.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        Parameter(
            help="Its folder, new or with a bundle; default: served/RUN/ARM/RELEASE in the home.", show_default=False
        ),
    ] = None,
    reuse: Annotated[
        bool, Parameter(negative="", help="Keep a bundle of the same release and data that is there.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Export a kept model to a serving bundle: the network as ONNX, trees as LightGBM writes them, arrays, JSON.

    The bundle answers for the moment after the whole log and the release; export again when either has grown. A
    bundle of the same release is replaced; a server that has it open goes on with the old one.

    Example: knowflow export-model --model knowledge --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    from app.kept_models import find_model  # noqa: PLC0415 - takes seconds to import
    from app.model_export import export_bundle  # noqa: PLC0415

    facts = export_bundle(settings, find_model(settings, model), release, out, reuse)
    if json:
        print_json(facts)
        return 0
    held = f"{facts['users']:,} users and {facts['items']:,} items of {facts['release']}, until {facts['live'][:19]}"
    print_line(f"{facts['arm']} ({facts['backbone']}) of {facts['run']}, with {held}\nbundle   {facts['folder']}")
    return 0
