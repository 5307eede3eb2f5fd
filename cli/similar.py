"""knowflow similar: shows the items nearest to an item, by the vectors of a release."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from app.workplace import open_dataset, open_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_table, printable
from feature_store.releases import get_release
from retrieval.similar import find_item, similar_items


def similar(
    item: Annotated[str, Parameter(help="Id or title of an item.")],
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: Annotated[str, Parameter(help="A technique about items.")] = "item_facts",
    encoder: Annotated[str, Parameter(help="An encoder in knowflow.yaml.")] = "dense",
    k: Annotated[int, Parameter(help="How many items.", validator=Number(gte=1))] = 10,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    json: AsJson = False,
) -> int:
    """Show the items nearest to an item.

    Example: knowflow similar "Heat" --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    store = open_store(settings)
    chosen, items = get_release(store, release), open_dataset(settings).items
    found = find_item(items, item)
    titles = dict(items.select("item", "title").iter_rows())
    near = similar_items(store, chosen, task, encoder, found, k)
    if json:
        shown = [{"item": one.item, "title": titles.get(one.item), "score": one.score} for one in near]
        print_json({"item": found, "title": titles.get(found), "vectors": f"{task}/{encoder}", "similar": shown})
        return 0
    title = f"nearest to {printable(titles.get(found) or '')} ({found}) by {task}/{encoder} of {chosen.name}"
    rows = [[one.item, printable(titles.get(one.item) or ""), f"{one.score:.3f}"] for one in near]
    print_table(title, ["item", "title", "cosine"], rows, text_columns=2)
    return 0
