"""Items near an item, for one question or for many: a caller's dict keeps what the first question has read."""

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

import polars as pl

from app.config import Config
from app.workplace import open_dataset, open_store
from feature_store.database import Store
from feature_store.releases import Release, get_release
from retrieval.similar import ItemVectors, Near, find_item, open_items
from sources.load import files_of

Kept = dict[str, tuple[Hashable, Any]]
"""What was read last -> what it was read of, and the result; a caller holds it, and passes it again."""


def near_items(
    config: Config,
    item: str,
    k: int,
    task: str,
    encoder: str,
    release: str | None,
    kept: Kept,
    *,
    exact: bool = False,
) -> tuple[list[Near], str, Release, pl.DataFrame]:
    """Find the items nearest to an item.

    Args:
        config: The config.
        item: Its id or title.
        k: How many.
        task: A technique about items.
        encoder: An encoder in knowflow.yaml.
        release: Name of a release; None for the current one.
        kept: Of the questions before; empty for the first one. It changes.
        exact: Compare all vectors, whether they have an index or not.

    Returns:
        The items, the id of the one that was asked for, the release, and all items with their titles.
    """
    store = open_store(config)
    chosen, items = get_release(store, release), _titles(config, kept)
    found = find_item(items, item)
    return _vectors(store, chosen, task, encoder, kept).near_item(found, k, exact=exact), found, chosen, items


def _titles(config: Config, kept: Kept) -> pl.DataFrame:
    """Return item and title, read again when a file or the settings of the data have changed."""
    key = None
    with suppress(OSError):  # loading says what is wrong
        files = {str(path): path.stat() for path in files_of(config.source, config.folder)}
        seen = tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in files.items())
        key = (config.source.model_dump_json(), seen, tuple(sorted(config.skipped())))
    return _keep(kept, "titles", key, lambda: open_dataset(config).items.select("item", "title"))


def _vectors(store: Store, release: Release, task: str, encoder: str, kept: Kept) -> ItemVectors:
    """Return the opened vectors of a release; of a new store, or of tables written anew, the new ones."""
    made = (release.name, release.created_at, tuple(sorted(release.versions.items())))
    key = (str(store), made, task, encoder)
    return _keep(kept, "vectors", key, lambda: open_items(store, release, task, encoder))


def _keep(kept: Kept, name: str, key: Hashable, read: Callable[[], Any]) -> Any:
    if key is None or name not in kept or kept[name][0] != key:
        kept[name] = key, read()
    return kept[name][1]
