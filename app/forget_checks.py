"""What must hold before users are forgotten: a deletion that goes too far cannot be taken back."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from app.config import Config
from base.faults import WrongUse
from feature_store.database import Store
from feature_store.forgotten import read_forgotten
from feature_store.lineage import TABLE as LINEAGE_TABLE
from feature_store.traces import IMPERSONAL, every_version, is_of
from sources.tables import Dataset


def check_home(config: Config) -> None:
    """Refuse a home in which files that are not ours would be changed, or would not be searched.

    Raises:
        WrongUse: It holds input files, or symbolic links; the text names all of them.
    """
    home, faults = config.home_folder, []
    for path in sorted(_inputs(config)):
        if path.is_relative_to(home):
            faults.append(f"{path} lies in {home}, where this command changes files\n  set home: to another folder")
    links = [path for path in sorted(home.rglob("*")) if path.is_symlink()]
    faults += [f"{path} is a symbolic link: what it points to would not be searched\n  put it there" for path in links]
    if faults:
        raise WrongUse("\n".join(faults))


def _inputs(config: Config) -> list[Path]:
    source = config.source
    tables = [source.events, source.items, source.users, source.queries]
    named = [one.path for one in tables if one is not None]
    files = config.engine.options.get("files", [])
    named += [files] if isinstance(files, str) else [one for one in files if isinstance(one, str)]
    return [(config.folder / str(one)).resolve() for one in named] + list(config.plugin_folders)


@dataclass(frozen=True)
class Doubts:
    """Ids of users that stand for others, too."""

    within: frozenset[str]
    """Those that stand within another id, a title or a query: they are not searched for in texts."""
    same: frozenset[str]
    """Those that items or queries have, too."""


def check_known(dataset: Dataset | str, store: Store, users: Collection[str]) -> Doubts:
    """Refuse ids that name nobody, such as a misspelt one; find those that would draw others in.

    Args:
        dataset: From `read_data`; without the data, what the store holds is known all the same.
        store: The store.
        users: Ids of the users.

    Raises:
        WrongUse: Some ids stand neither in the data nor in the store, and were never forgotten.
    """
    pairs = list(every_version(store, LINEAGE_TABLE, ["entity_type", "entity"]).drop_nulls().iter_rows())
    known = {user for user in users for kind, entity in pairs if is_of(kind, entity, {user})}
    things = {entity for kind, entity in pairs if kind in IMPERSONAL}
    elsewhere = [entity for kind, entity in pairs if kind not in IMPERSONAL and not is_of(kind, entity, users)]
    if not isinstance(dataset, str):
        people = [frame["user"] for frame in (dataset.events, dataset.users) if frame is not None]
        people = {user for column in people for user in column.cast(pl.String).unique().drop_nulls()}
        known |= people & set(users)
        elsewhere += [*(people - set(users)), *_catalogue(dataset.items)]
        things |= {*dataset.items["item"]}
        if dataset.queries is not None and "query" in dataset.queries.columns:
            things |= {*dataset.queries["query"].cast(pl.String).drop_nulls()}
    forgotten = read_forgotten(store.folder)
    strangers = [user for user in sorted(set(users) - known) if user not in forgotten]
    if strangers:
        shown = ", ".join(map(repr, strangers[:5])) + ", ..." * (len(strangers) > 5)
        raise WrongUse(
            f"{len(strangers):,} of {len(set(users)):,} ids are of no user in the data or in the store: {shown}\n"
            "  give ids as they stand in the data, letter by letter"
        )
    found = pl.Series([*elsewhere, *things], dtype=pl.String).str.extract_many(sorted(users), overlapping=True)
    return Doubts(frozenset(found.explode().drop_nulls().unique()), frozenset(users) & things)


def _catalogue(items: pl.DataFrame) -> list[str]:
    texts = items.select(pl.col(pl.String))
    lists = items.select(pl.col(pl.List(pl.String)))
    cells = [column.unique().drop_nulls() for column in texts.iter_columns()]
    cells += [column.explode().unique().drop_nulls() for column in lists.iter_columns()]
    return [cell for column in cells for cell in column]
