"""knowflow preview: shows one prompt as a model would get it; asks nothing."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from app.asking import with_engine
from app.config import load_config
from app.preview import Preview, preview_row
from cli.asking import BaseUrls, EngineName, ModelName, model_path
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say, say_next
from feature_store.lineage import EPOCH


def preview(
    task: Annotated[str, Parameter(help="A technique, such as kar_item.")],
    /,
    *,
    entity: Annotated[
        str | None, Parameter(help="Id of an item, user, query or event; default: the first row.", show_default=False)
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    engine: EngineName = None,
    model: ModelName = None,
    base_url: BaseUrls = None,
    json: AsJson = False,
) -> int:
    """Show the prompt of one row as the model would get it, with its tokens. Asks nothing and writes nothing.

    Example: knowflow preview kar_item --entity 318 --config examples/movielens/knowflow.yaml
    """
    shown = preview_row(with_engine(load_config(config), engine, model_path(model), base_url), task, entity)
    if json:
        print_json(asdict(shown))
        return 0
    for line in _lines(shown):
        print_line(line)
    if shown.fault:
        say(f"this row cannot be asked: {shown.fault}")
    say_next("plan", config, [task], engine=engine, model=model, base_url=base_url)
    return 0


def _lines(shown: Preview) -> list[str]:
    """Return a heading, then every message with its role, or the text that is encoded."""
    about = f"{shown.task} about {shown.entity}"
    if shown.as_of > EPOCH:
        about += f", known from {shown.as_of:%Y-%m-%d %H:%M:%S} UTC on"
    if shown.prompt is None:
        return [f"{about}: no model is asked, this text is encoded", "", shown.text or ""]
    tokens = "" if shown.tokens is None else f", {shown.tokens:,} tokens ({shown.counted})"
    lines = [f"{about}: prompt {shown.prompt}{tokens}"]
    for message in shown.messages:
        lines += ["", f"[{message['role']}]", message["content"]]
    return lines
