"""Gates: checks that must pass before a release is published."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from feature_store.answers import TABLE as ANSWERS_TABLE
from feature_store.cost_gate import cost_gates
from feature_store.database import Store
from feature_store.drift_gates import vector_gates
from feature_store.gate import Gate, GatesConfig
from feature_store.keys import check_keys
from feature_store.leak_check import LeakReport
from feature_store.lineage import VectorName, read_lineage
from feature_store.releases import TABLE as RELEASES_TABLE
from feature_store.releases import ReleasedVectors
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
    before: pl.DataFrame | None,
    old_vectors: Mapping[VectorName, ReleasedVectors] | None = None,
    asked: Sequence[Mapping[str, Any]] = (),
) -> list[Gate]:
    """Check all gates on the newest version of every table; the caller must hold the writer.

    Args:
        store: The store, after everything has been written.
        tasks: Tasks of the release.
        vectors: What the release is to record of its vectors.
        config: Thresholds.
        leaks: Result of the leak check on the candidate.
        before: row, text_key and text of the current release; None if there is none.
        old_vectors: What the current release records of its vectors; None if there is none.
        asked: What generation did, and what its plan said, by technique.
    """
    rows = read_lineage(store, tasks, ["row", "task", "entity", "text_key", "text", "error", "answer_key"])
    finished = pl.DataFrame(pl.from_arrow(store.read(ANSWERS_TABLE, ANSWERS, columns=["key", "finish"])))
    cut = finished.filter(pl.col("finish") == "length")["key"]
    gates = [_unique(store)]
    for task in tasks:
        part = rows.filter(pl.col("task") == task)
        gates += [_answered(task, part, config.answered), _parsed(task, part, config.parse_failures)]
        gates.append(_whole(task, part, cut, config.cut_off))
        gates.append(_drift(task, part, before, config.drift))
        gates += text_gates(task, part, before, config)
        for name, made in vectors.items():
            if name.task == task:
                gates.append(_encoded(store, name, part, made))
                old = (old_vectors or {}).get(name)
                if before is not None and old is not None and gates[-1].holds:
                    gates += vector_gates(store, name, (part, made), (before, old), config)
    gates += [*_same_space(store, vectors), *cost_gates(asked, config.cost)]
    found = f"{leaks.leaks:,} leaks in {leaks.pairs:,} pairs of a sample and a row; {leaks.scope}"
    for one in leaks.counter_examples[:1]:  # a candidate that is not published cannot be inspected afterwards
        found += f"; the first: {one.question}: {one.row}, {one.event}; {one.fix}"
    gates = [replace(gate, blocks=False) if gate.setting in config.warn else gate for gate in gates]
    return [*gates, Gate("no leak", leaks.leaks == 0, found)]


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
    both = rows.join(before.rename({"text_key": "old_key"}), on="row").drop_nulls(["text_key", "old_key"])
    share = (both["text_key"] != both["old_key"]).sum() / max(len(both), 1)
    return Gate(
        f"{task} drift",
        share <= most,
        f"{share:.1%} of {len(both):,} texts changed, at most {most:.1%}",
        setting="drift",
    )


def _encoded(store: Store, name: VectorName, rows: pl.DataFrame, made: ReleasedVectors) -> Gate:
    table, schema = vectors_table(name.encoder, made.dimension), vectors_schema(made.dimension)
    where = f"fingerprint = {quoted(made.fingerprint)}"
    known = pl.DataFrame(pl.from_arrow(store.read(table, schema, columns=["text_key"], where=where)))
    wanted = rows.select(pl.col("text_key").drop_nulls().unique())
    missing = len(wanted.join(known, on="text_key", how="anti"))
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
