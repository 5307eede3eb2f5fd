"""Publishes a release: checks the gates over what was written, then moves the atomic pointer."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol

from app.config import Config
from app.cutoff import cutoff_of_answers
from app.evidence import leak_evidence
from app.search import write_item_documents
from feature_store.database import Store, Writer, command_line
from feature_store.files import same_rows
from feature_store.fitted import fitted_until
from feature_store.gate import Gate, GatesClosed
from feature_store.gates import check_gates
from feature_store.kept_facts import FOLDER as KEPT_FACTS
from feature_store.leak_check import LeakReport, leak_check
from feature_store.leak_evidence import Evidence
from feature_store.leak_record import FACT as LEAK_CHECK
from feature_store.leak_record import Covered, read_covered, told, write_record
from feature_store.lineage import VectorName
from feature_store.releases import (
    TABLE,
    Release,
    ReleasedVectors,
    get_release,
    list_releases,
    publish,
)
from llm_tasks.pipeline.before import model_name
from llm_tasks.pipeline.workplace import Workplace

KEPT = ("rewrites",)
"""Facts about tables that stay when a flow does not touch them."""
SETS = ("codes", "edges")
"""Facts about named sets, which stay when a set of another name is added."""
SOFTWARE = ("knowflow", "torch", "sentence-transformers", "scikit-learn", "lancedb", "polars", "prefect")


class Staged(Protocol):
    """A table that a flow adds to a release; it is written only when all gates hold, including its own."""

    @property
    def command(self) -> str:
        """The command that makes it."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts about it for the release."""
        ...

    def changes(self, store: Store) -> bool:
        """Return whether writing would change the store."""
        ...

    def gates(self, store: Store, before: Release | None) -> Sequence[Gate]:
        """Check the table against the current release."""
        ...

    def write(self, writer: Writer) -> None:
        """Write the table."""
        ...


def publish_release(
    config: Config,
    workplace: Workplace,
    names: Sequence[str],
    asked: Sequence[dict],
    vectors: Sequence[dict],
    staged: Staged | None = None,
) -> str:
    """Publish what the tables hold now, unless nothing changed or a gate fails.

    The writer is held from the first read of the tables to the move of the pointer: what the gates checked is what is
    published. While the current release is pinned, which a rollback does too, nothing is published: the tables are
    filled, and the first refresh after `knowflow release unpin` publishes them.

    Args:
        config: The config.
        workplace: Data and store.
        names: Tasks that were refreshed.
        asked: What generation did, one dict per task.
        vectors: What encoding did, one dict per task and encoder.
        staged: A table to add.

    Returns:
        Name of the release that is current afterwards.

    Raises:
        GatesClosed: A gate does not hold; nothing was published.
        WrongUse: Another process writes.
    """
    with workplace.store.writer(command_line()) as writer:
        return _publish(config, workplace, writer, names, asked, vectors, staged)


def _publish(
    config: Config,
    workplace: Workplace,
    writer: Writer,
    names: Sequence[str],
    asked: Sequence[dict],
    made_now: Sequence[dict],
    staged: Staged | None,
) -> str:
    store = workplace.store
    before = next(reversed(list_releases(store)), None)
    if before is not None and before.pinned:
        return before.name
    made = _kept(before, names) | {VectorName(v["task"], v["encoder"]): ReleasedVectors.read(v) for v in made_now}
    noted = before.facts if before else {}
    made = _with_fits(store, made)
    tasks = sorted({name.task for name in made} | set(noted.get("tasks", [])) | set(names))
    write_item_documents(config, workplace, writer)  # the items of every release can be searched by words
    versions = {table: store.version(table) for table in store.tables() if table != TABLE}
    same_data = before is not None and before.facts.get("data_version") == workplace.dataset.version
    found = cutoff_of_answers(store, tasks, config.engine, workplace.engine.identity)
    cutoff = found.isoformat() if found else None
    same = same_data and before is not None and _same_tables(store, before, versions) and before.vectors == made
    same = same and noted.get("knowledge_cutoff") == cutoff
    if before and same and not (staged and staged.changes(store)):
        return before.name
    vector_facts = {str(name): one.to_facts() for name, one in made.items()}
    candidate = Release("the candidate", datetime.now(UTC), None, versions, {"vectors": vector_facts, **_noted(noted)})
    evidence, now = leak_evidence(config, workplace), datetime.now(UTC)
    leaks, covered = _leaks(store, candidate, evidence, before, now, config.gates.whole_leak_check)
    gates = check_gates(store, tasks, made, config.gates, leaks, before, asked, config.home_folder / KEPT_FACTS)
    gates += staged.gates(store, before) if staged else []
    if any(gate.closed for gate in gates):
        raise GatesClosed(gates, staged.command if staged else "knowflow refresh")
    if staged:
        staged.write(writer)
    identity = store.place.identity()
    facts = {
        "store": identity.id if identity else None,
        "data_version": workplace.dataset.version,
        "tasks": tasks,
        "model": model_name(workplace.engine.identity),
        "knowledge_cutoff": cutoff,
        "domain": config.domain,
        "vectors": vector_facts,
        "asked": list(asked),
        "gates": [vars(gate) for gate in gates],
        LEAK_CHECK: write_record(store.folder, leaks, evidence, covered, now),
        **_noted(noted, staged.facts if staged else {}),
        "software": {name: version(name) for name in SOFTWARE} | {"python": platform.python_version()},
    }
    return publish(writer, facts).name


def _same_tables(store: Store, before: Release, versions: Mapping[str, int]) -> bool:
    """Return whether the tables hold the rows of a release; joining files, as a collection does, changes none."""
    return before.versions.keys() == versions.keys() and all(
        before.versions[table] == version
        or same_rows(store.uri(table), before.versions[table], version, store.place.options)
        for table, version in versions.items()
    )


def _kept(before: Release | None, names: Sequence[str]) -> dict[VectorName, ReleasedVectors]:
    """Return the vectors of tasks that this run did not touch; they stay in the release."""
    old = before.vectors if before else {}
    return {name: made for name, made in old.items() if name.technique not in names}


def _noted(old: Mapping[str, Any], new: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the facts about tables that this run did not touch, with what it adds to them."""
    kept = {name: old[name] for name in (*KEPT, *SETS) if name in old} | dict(new or {})
    return kept | {name: {**old.get(name, {}), **kept[name]} for name in SETS if name in kept}


def _with_fits(store: Store, made: Mapping[VectorName, ReleasedVectors]) -> dict[VectorName, ReleasedVectors]:
    """Add to vectors of fitted encoders the newest event behind the texts that the encoder was fitted on."""
    seen = fitted_until(store, {table: store.version(table) for table in store.tables()})
    dated = dict(made)
    for name, one in made.items():
        if (time := seen.get(one.fingerprint)) is not None:
            dated[name] = replace(one, seen_until=time)
    return dated


def _leaks(
    store: Store, release: Release, evidence: Evidence, before: Release | None, now: datetime, days: int
) -> tuple[LeakReport, Covered | str]:
    """Check a release for leaks, all of it or what the check of an earlier release does not cover."""
    covered = read_covered(store.folder, before, evidence, now, days)
    report = leak_check(store, release, evidence, None if isinstance(covered, str) else covered.states)
    return replace(report, scope=told(report, covered)), covered


def check_release(
    config: Config, workplace: Workplace, store: Store, name: str | None, *, full: bool = True
) -> tuple[Release, dict]:
    """Check a published release for leaks; return the release and the findings.

    Args:
        config: The config.
        workplace: Data and domain.
        store: The store.
        name: Name of the release; None = the current one.
        full: Check all of it; otherwise what has changed since it was checked when it was published.
    """
    release, evidence = get_release(store, name), leak_evidence(config, workplace)
    if full:
        report = leak_check(store, release, evidence)
        return release, replace(report, scope=told(report, "")).to_dict()
    days = config.gates.whole_leak_check
    return release, _leaks(store, release, evidence, release, datetime.now(UTC), days)[0].to_dict()
