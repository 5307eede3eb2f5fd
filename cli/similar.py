"""knowflow similar: shows the items nearest to an item, by the vectors of a release."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from app.near_items import near_items
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_table, printable


def similar(
    item: Annotated[str, Parameter(help="Id or title of an item.")],
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: Annotated[str, Parameter(help="A technique about items.")] = "item_facts",
    encoder: Annotated[str, Parameter(help="An encoder in knowflow.yaml.")] = "dense",
    k: Annotated[int, Parameter(help="How many items.", validator=Number(gte=1))] = 10,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    exact: Annotated[
        bool, Parameter(help="Compare all vectors, whether they have an index or not.", negative="")
    ] = False,
    json: AsJson = False,
) -> int:
    """Show the items nearest to an item.

    Example: knowflow similar "Heat" --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    near, found, chosen, items = near_items(settings, item, k, task, encoder, release, {}, exact=exact)
    titles = dict(items.iter_rows())
    if json:
        shown = [{"item": one.item, "title": titles.get(one.item), "score": one.score} for one in near]
        print_json({"item": found, "title": titles.get(found), "vectors": f"{task}/{encoder}", "similar": shown})
        return 0
    title = f"nearest to {printable(titles.get(found) or '')} ({found}) by {task}/{encoder} of {chosen.name}"
    rows = [[one.item, printable(titles.get(one.item) or ""), f"{one.score:.3f}"] for one in near]
    print_table(title, ["item", "title", "cosine"], rows, text_columns=2)
    return 0
