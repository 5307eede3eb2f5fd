"""What differs between two releases: rows, texts, prompts, models, vectors."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from feature_store.database import Store
from feature_store.release_record import Release
from feature_store.releases import released_lineage

COLUMNS = ["row", "task", "entity", "as_of", "text", "text_key", "error", "prompt", "prompt_digest", "model"]


@dataclass(frozen=True)
class ChangedText:
    """A row whose text differs."""

    row: str
    """Key of the row."""
    old: str
    """Its text in the first release."""
    new: str
    """Its text in the second one."""


@dataclass(frozen=True)
class TaskDiff:
    """What differs in the rows of one technique, or of one part of its answers."""

    task: str
    """The technique, or TECHNIQUE.PART."""
    rows: tuple[int, int]
    """Number of rows in the first and in the second release."""
    texts: tuple[int, int]
    """How many of them have a text."""
    added: int
    """Rows that only the second release has."""
    gone: int
    """Rows that only the first release has."""
    changed: int
    """Rows of both whose text differs, or is there in one only."""
    failed: tuple[int, int]
    """Rows whose newest answer is an error."""
    prompts: tuple[tuple[str, ...], tuple[str, ...]]
    """Prompts behind the rows, each as `name digest`."""
    models: tuple[tuple[str, ...], tuple[str, ...]]
    """Models behind the rows."""
    examples: tuple[ChangedText, ...]
    """The first changed texts, by row key."""


def compare_rows(store: Store, old: Release, new: Release, examples: int = 3) -> list[TaskDiff]:
    """Compare the rows of two releases, technique by technique.

    Args:
        store: The store.
        old: The first release.
        new: The second one.
        examples: Changed texts to return for each technique, at most.
    """
    first, second = (released_lineage(store, release, columns=COLUMNS) for release in (old, new))
    tasks = sorted({*first["task"], *second["task"]})
    return [
        _compare(task, first.filter(pl.col("task") == task), second.filter(pl.col("task") == task), examples)
        for task in tasks
    ]


def changed_vectors(old: Release, new: Release) -> Mapping[str, str]:
    """Return what happened to the vectors of each technique and encoder: added, gone, or encoded otherwise."""
    first, second = old.vectors, new.vectors
    words = dict.fromkeys(first.keys() - second.keys(), "gone")
    words |= dict.fromkeys(second.keys() - first.keys(), "added")
    both = first.keys() & second.keys()
    words |= {n: "made by another encoder or fit" for n in both if first[n].fingerprint != second[n].fingerprint}
    return {str(name): words[name] for name in sorted(words)}


def _compare(task: str, first: pl.DataFrame, second: pl.DataFrame, examples: int) -> TaskDiff:
    both = first.join(second, on="row", suffix="_new")
    changed = both.filter(pl.col("text_key").ne_missing(pl.col("text_key_new"))).sort("row")
    shown = changed.drop_nulls(["text", "text_new"]).head(examples)
    return TaskDiff(
        task=task,
        rows=(len(first), len(second)),
        texts=(first["text_key"].count(), second["text_key"].count()),
        added=len(second) - len(both),
        gone=len(first) - len(both),
        changed=len(changed),
        failed=(first["error"].count(), second["error"].count()),
        prompts=(_prompts(first), _prompts(second)),
        models=(_distinct(first["model"]), _distinct(second["model"])),
        examples=tuple(ChangedText(*row) for row in shown.select("row", "text", "text_new").iter_rows()),
    )


def _prompts(rows: pl.DataFrame) -> tuple[str, ...]:
    named = rows.drop_nulls("prompt").select(pl.format("{} {}", "prompt", pl.col("prompt_digest").str.slice(0, 8)))
    return _distinct(named.to_series()) if len(named) else ()


def _distinct(values: pl.Series) -> tuple[str, ...]:
    return tuple(values.drop_nulls().unique().sort().to_list())
