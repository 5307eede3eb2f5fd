"""knowflow search: finds items by a text, using words and vectors of a release."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from app.workplace import open_dataset, open_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_table, printable, say
from feature_store.releases import get_release
from sources.queries import check_query


def search(
    text: Annotated[
        str, Parameter(help="What to look for, as a user would type it; in quotes when it contains spaces.")
    ],
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: Annotated[
        str | None, Parameter(help="A technique about items, whose vectors are searched; default: item_facts.")
    ] = None,
    encoder: Annotated[str | None, Parameter(help="Its encoder, which also encodes the text; default: dense.")] = None,
    k: Annotated[int, Parameter(help="How many items.", validator=Number(gte=1))] = 10,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    json: AsJson = False,
) -> int:
    """Find items by a text, fusing two rankings: by the words of their documents and by near vectors.

    A document holds an item's title, its fields, and its text by the technique named in `rewrites.descriptions`.
    The text has no operators: everything in it is a word. When only one of the two rankings exists, a line says so.

    Example: knowflow search "a heist that goes wrong" --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    check_query(text, settings.source.longest_query)
    store = open_store(settings)
    chosen = get_release(store, release)
    from app.search import search_items  # noqa: PLC0415 - the search takes a second to import

    found = search_items(settings, store, chosen, text, k, task, encoder)
    titles = dict(open_dataset(settings).items.select("item", "title").iter_rows())
    if json:
        results = [{"item": one.item, "title": titles.get(one.item), **vars(one)} for one in found.items]
        print_json({"query": text, "release": chosen.name, **vars(found), "items": results})
        return 0
    if found.lacking:
        say(f"searched by {'words' if found.words else 'vectors'} only: {found.lacking}")
    if not found.items:
        say(f"nothing found: no document shares a word with {printable(text)}")
        return 0
    by = " and ".join([*(["words"] if found.words else []), *([found.vectors] if found.vectors else [])])
    rows = [
        [one.item, printable(titles.get(one.item) or ""), _rank(one.by_words), _rank(one.by_vectors)]
        for one in found.items
    ]
    print_table(f"{printable(text)}, by {by} of {chosen.name}", ["item", "title", "words", "vectors"], rows, 2)
    return 0


def _rank(rank: int | None) -> str:
    return "-" if rank is None else f"{rank}"
