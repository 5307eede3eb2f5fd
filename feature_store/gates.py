"""Gates: checks that must pass before a release is published."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from feature_store.answers import TABLE as ANSWERS_TABLE
from feature_store.cost_gate import cost_gates
from feature_store.database import Store
from feature_store.drift_gates import FindTexts, Side, vector_gates
from feature_store.gate import Gate, GatesConfig
from feature_store.kept_facts import complete_facts, keep_facts, read_facts, with_facts
from feature_store.keys import check_keys
from feature_store.leak_check import LeakReport
from feature_store.lineage import TABLE as LINEAGE_TABLE
from feature_store.lineage import VectorName, find_texts, read_lineage
from feature_store.releases import TABLE as RELEASES_TABLE
from feature_store.releases import Release, ReleasedVectors, released_lineage, released_table
from feature_store.schemas import ANSWERS, vectors_schema
from feature_store.text_gates import text_gates
from feature_store.vectors import spaces_of, vectors_table
from feature_store.writer import quoted


def check_gates(
    store: Store,
    tasks: Sequence[str],
    vectors: Mapping[VectorName, ReleasedVectors],
    config: GatesConfig,
    leaks: LeakReport,
    before: Release | None,
    asked: Sequence[Mapping[str, Any]] = (),
    kept: Path | None = None,
) -> list[Gate]:
    """Check all gates on the newest version of every table; the caller must hold the writer.

    Args:
        store: The store, after everything has been written.
        tasks: Tasks of the release.
        vectors: What the release is to record of its vectors.
        config: Thresholds.
        leaks: Result of the leak check on the candidate.
        before: The current release; None if there is none.
        asked: What generation did, and what its plan said, by technique.
        kept: Folder of what was found in texts that are already known (`feature_store.kept_facts`); None = none.
    """
    rows = read_lineage(store, tasks, ["row", "task", "entity", "text_key", "error", "answer_key"])
    old = None if before is None else released_lineage(store, before, tasks, ["row", "task", "text_key", "answer_key"])
    find = partial(_find_texts, store, before)
    facts, sides = _facts(kept, [rows] if old is None else [rows, old], find)
    cut = _cut_off(store)
    gates = [_unique(store)]
    for task in tasks:
        part, then = (None if of is None else of.filter(pl.col("task") == task) for of in (rows, old))
        assert part is not None
        gates += [_answered(task, part, config.answered), _parsed(task, part, config.parse_failures)]
        gates += [_whole(task, part, cut, config.cut_off), _drift(task, part, then, config.drift)]
        answers, *answers_then = [with_facts(side.filter(pl.col("task") == task), facts) for side in sides]
        gates += text_gates(task, part, answers, next(iter(answers_then), None), config, find)
        for name, made in vectors.items():
            if name.task == task:
                gates.append(_encoded(store, name, part, made))
                if before is not None and then is not None and name in before.vectors and gates[-1].holds:
                    new = Side(part, made, vectors_table(name, made.dimension))
                    gates += vector_gates(store, name, new, _current_side(name, then, before), config)
    gates += [*_same_space(store, vectors), *cost_gates(asked, config.cost)]
    gates = [replace(gate, blocks=False) if gate.setting in config.warn else gate for gate in gates]
    return [*gates, _no_leak(leaks)]


def _find_texts(store: Store, before: Release | None, keys: pl.Series) -> pl.DataFrame:
    """Return text_key and text of some texts of the candidate and of the current release, each once."""
    found = find_texts(store, keys)
    if before is None or LINEAGE_TABLE not in before.versions or len(found) == len(keys):
        return found
    others = keys.to_frame("text_key").join(found, on="text_key", how="anti")["text_key"]
    return pl.concat([found, find_texts(store, others, before.versions[LINEAGE_TABLE])])


def _facts(
    folder: Path | None, sides: Sequence[pl.DataFrame], find: FindTexts
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return the facts of all texts, kept for the next refresh, and the answers of each side with their places."""
    kept = read_facts(folder)
    facts, placed = complete_facts(kept, sides, find)
    alive = np.zeros(len(facts), dtype=bool)
    for of in placed:
        alive[of["place"].to_numpy()] = True
    if folder is not None and not (alive.all() and facts.equals(kept)):
        keep_facts(folder, facts.filter(alive))
    return facts, placed


def _cut_off(store: Store) -> pl.Series:
    """Return the keys of the answers that were cut off at the maximum of tokens."""
    finished = pl.DataFrame(pl.from_arrow(store.read(ANSWERS_TABLE, ANSWERS, columns=["key", "finish"])))
    return finished.filter(pl.col("finish") == "length")["key"]


def _no_leak(leaks: LeakReport) -> Gate:
    found = f"{leaks.leaks:,} leaks in {leaks.pairs:,} pairs of a sample and a row; {leaks.scope}"
    for one in leaks.counter_examples[:1]:  # a candidate that is not published cannot be inspected afterwards
        found += f"; the first: {one.question}: {one.row}, {one.event}; {one.fix}"
    return Gate("no leak", leaks.leaks == 0, found)


def _current_side(name: VectorName, rows: pl.DataFrame, current: Release) -> Side:
    made = current.vectors[name]
    table = released_table(current, name, made.dimension)
    return Side(rows, made, table, current.versions.get(table))


def _unique(store: Store) -> Gate:
    counts = {t: check_keys(store, t) for t in store.tables() if t != RELEASES_TABLE}
    return Gate("every key once", True, f"{sum(counts.values()):,} rows in {len(counts)} tables")


def _answered(task: str, rows: pl.DataFrame, least: float) -> Gate:
    # A task without any row is a mistake (ids that match nothing), not full coverage.
    old = len(rows.drop_nulls(["text_key", "error"]))  # an older text that stays does not hide that the newest failed
    share = (rows["text_key"].count() - old) / max(len(rows), 1)
    reasons = rows["error"].drop_nulls().value_counts(sort=True).head(1)
    example = f"; most often: {reasons['error'][0]}" if len(reasons) else ""
    kept = f"; {old:,} failed now and keep an older text" if old else ""
    found = f"{share:.1%} of {len(rows):,} rows, at least {least:.1%}{example}{kept}"
    return Gate(f"{task} answered", share >= least, found, tuple(_kinds(rows["error"])), "answered")


def _parsed(task: str, rows: pl.DataFrame, most: float) -> Gate:
    failed = rows["error"].str.starts_with("parse").sum() / max(len(rows), 1)
    found = f"{failed:.1%} failed to parse, at most {most:.1%}"
    return Gate(f"{task} parsed", failed <= most, found, ("parse",) if failed else (), "parse_failures")


def _kinds(errors: pl.Series) -> list[str]:
    return errors.drop_nulls().str.split(":").list.first().unique().sort().to_list()


def _whole(task: str, rows: pl.DataFrame, cut: pl.Series, most: float) -> Gate:
    share = rows["answer_key"].is_in(cut.implode()).sum() / max(len(rows), 1)
    fix = "; raise sampling.max_tokens in the prompt, or ask for shorter answers" if share > most else ""
    return Gate(
        f"{task} cut off", share <= most, f"{share:.1%} of answers cut off, at most {most:.1%}{fix}", setting="cut_off"
    )


def _drift(task: str, rows: pl.DataFrame, before: pl.DataFrame | None, most: float) -> Gate:
    if before is None:
        return Gate(f"{task} drift", True, "first release", setting="drift")
    then = before.select("row", old_key="text_key")
    both = rows.select("row", "text_key").join(then, on="row").drop_nulls(["text_key", "old_key"])
    share = (both["text_key"] != both["old_key"]).sum() / max(len(both), 1)
    return Gate(
        f"{task} drift",
        share <= most,
        f"{share:.1%} of {len(both):,} texts changed, at most {most:.1%}",
        setting="drift",
    )


def _encoded(store: Store, name: VectorName, rows: pl.DataFrame, made: ReleasedVectors) -> Gate:
    table, schema = vectors_table(name, made.dimension), vectors_schema(made.dimension)
    where = f"fingerprint = {quoted(made.fingerprint)}"
    known = pl.DataFrame(pl.from_arrow(store.read(table, schema, columns=["text_key"], where=where)))
    wanted = rows.select(pl.col("text_key").drop_nulls())
    missing = wanted.join(known, on="text_key", how="anti")["text_key"].n_unique()
    return Gate(f"{name} encoded", missing == 0, f"{missing:,} texts without a vector")


def _same_space(store: Store, vectors: Mapping[VectorName, ReleasedVectors]) -> list[Gate]:
    """Check that all vectors of a space come from one fit, across tasks: otherwise they cannot be compared."""
    spaces = spaces_of(store)
    fits: dict[tuple[str, str], dict[str, set[str]]] = {}
    for name, made in vectors.items():
        if made.fingerprint in spaces:
            by_fit = fits.setdefault((name.encoder, spaces[made.fingerprint]), {})
            by_fit.setdefault(made.fingerprint, set()).add(name.task)
    gates = []
    for (encoder, space), by_fit in fits.items():
        tasks = sorted(set().union(*by_fit.values()))
        if len(tasks) > 1:
            found = f"{', '.join(tasks)} encoded by {len(by_fit)} fit{'s' * (len(by_fit) > 1)}"
            gates.append(Gate(f"{encoder} space of {space}", len(by_fit) == 1, found))
    return gates
