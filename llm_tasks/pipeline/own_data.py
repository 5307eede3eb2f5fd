"""The data of each subject alone: an item's fields; a user's fields and events, with the fields of their items.

A technique that declares `own_data` gets nothing else, so a subject whose own data is as it was has the rows it had.
"""

from dataclasses import replace

import polars as pl

from sources.tables import Dataset

STATES = pl.Schema({"subject": pl.UInt64, "state": pl.UInt64})


def subjects_of(entities: pl.Series) -> pl.Series:
    """Return the number of each subject: the hash of its id, the same in every process of one version of Polars."""
    return entities.hash(0).alias("subject")


def own_data_of(dataset: Dataset, entity: str) -> Dataset:
    """Return what techniques see that declare `own_data`.

    No events for items. The part of a user's event depends on the events of others, so it is null.

    Args:
        dataset: All data.
        entity: item or user.
    """
    if entity == "item":
        return replace(dataset, events=dataset.events.clear(), users=None, queries=None, sampled=None)
    events = dataset.events.with_columns(pl.lit(None, pl.String).alias("part"))
    return replace(dataset, events=events, queries=None, sampled=None)


def states_of(dataset: Dataset, entity: str) -> pl.DataFrame:
    """Return one number for all data of each subject: subject, state.

    Args:
        dataset: All data.
        entity: item or user.
    """
    items = dataset.items
    fields = items.select("item", fields=_hashed(items))
    if entity == "item":
        return _added_up(fields.select(subjects_of(fields["item"]), state="fields"))
    events = dataset.events.drop("part").join(fields, on="item", how="left", maintain_order="left")
    of_events = events.select(subjects_of(events["user"]), state=_hashed(events))
    if (users := dataset.users) is None:
        return _added_up(of_events)
    return _added_up(pl.concat([of_events, users.select(subjects_of(users["user"]), state=_hashed(users, 1))]))


def without_subjects(dataset: Dataset, entity: str, subjects: pl.Series) -> Dataset:
    """Return the data of all other subjects, for techniques that declare `own_data`.

    Args:
        dataset: All data.
        entity: item or user.
        subjects: Numbers of subjects, from `subjects_of`.
    """
    if subjects.is_empty():
        return dataset
    if entity == "item":
        return replace(dataset, items=_others(dataset.items, "item", subjects))
    events = _others(dataset.events, "user", subjects)
    users = None if dataset.users is None else _others(dataset.users, "user", subjects)
    return replace(dataset, events=events, items=dataset.items.join(events, on="item", how="semi"), users=users)


def _hashed(table: pl.DataFrame, seed: int = 0) -> pl.Series:
    """Return a number for each row; -0 and 0, which are equal, have two, because they are written differently."""
    numbers = [name for name, kind in table.schema.items() if kind.is_float()]
    below = [(1 / pl.col(name) < 0).alias(f"{name} below 0") for name in numbers]
    return table.with_columns(below).hash_rows(seed)


def _added_up(numbers: pl.DataFrame) -> pl.DataFrame:
    """Add up the numbers of each subject; an event holds its time and position, so their order matters."""
    return numbers.group_by("subject").agg(pl.col("state").sum()).cast(pl.Schema(STATES)).select(STATES.names())


def _others(table: pl.DataFrame, column: str, subjects: pl.Series) -> pl.DataFrame:
    return table.filter(~subjects_of(table[column]).is_in(subjects.implode()))
