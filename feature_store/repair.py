"""Repair a store from what is whole in it: first a plan, then its steps. Nothing that can be read is deleted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pyarrow as pa

from feature_store.answers import JOURNAL, answer_log, damaged_lines, journalled
from feature_store.answers import TABLE as ANSWERS_TABLE
from feature_store.checksums import FILE as SUMS
from feature_store.checksums import note_sums, read_sums
from feature_store.database import Store, Writer
from feature_store.identity import FILE as IDENTITY
from feature_store.identity import Identity, StoreFault
from feature_store.lineage import read_lineage
from feature_store.release_record import Release, row_of
from feature_store.releases import COPY, all_releases, mark_damaged, write_copy
from feature_store.releases import TABLE as RELEASES_TABLE
from feature_store.schemas import RELEASES
from feature_store.table_repair import TableRepair, plan_table, set_aside
from feature_store.vectors import SHARED
from feature_store.verify import (
    REPAIR,
    Finding,
    check_beside,
    every_table,
    fix_of,
    identity_of,
    readable_releases,
    release_faults,
    strangers,
    unused,
)
from feature_store.whole import Checker, Fault
from feature_store.work_copy import check_there, on_this_machine, to_look_at


@dataclass(frozen=True)
class Step:
    """One step of a repair."""

    what: str
    """What it does, in a sentence."""
    run: Callable[[Writer], None]
    """Does it."""
    calls: int = 0
    """Calls that it will cost to ask anew what is lost; at most."""


def plan_repair(store: Store) -> list[Step]:
    """Plan a repair. Writes nothing.

    Returns:
        The steps in order; none for a store that is whole.

    Raises:
        StoreFault: There is no store, another one is in its place, or it was written by a newer version.
        WrongUse: The store is in a bucket, and another process is writing to it.
    """
    with to_look_at(store, "knowflow repair") as files:
        return _plan(files)


def _plan(store: Store) -> list[Step]:
    known, beside = check_beside(store)
    if store.note is not None and identity_of(store) is not None:
        store.note.check(store.folder)
    check = Checker(store.folder, known)
    releases, damaged = readable_releases(store, check)
    tables = [] if not damaged else [plan_table(check, RELEASES_TABLE)]
    tables += [plan_table(check, table) for table in every_table(store, releases) if table != RELEASES_TABLE]
    repairs = [one for one in tables if one is not None]
    broken = {one.fault.file for one in beside}
    steps = [_identity_step(store, releases)] if IDENTITY in broken else []
    steps += [_table_step(store, one) for one in repairs]
    if damaged or COPY in broken:
        steps.append(_releases_step(releases))
    steps += _journal_steps(store, broken)
    steps += _release_steps(store, check, releases)
    for table in store.on_disk():
        if all(one.table != table for one in repairs):
            steps += _unused_steps(store, unused(check, table))
    if SUMS in broken:
        steps.append(Step(f"{SUMS}: is made anew from the files that are there", _sums_again))
    return steps


def repair(store: Store, purpose: str) -> list[Step]:
    """Plan a repair and do it; return what was done.

    Raises:
        WrongUse: Another process is writing.
        StoreFault: As `plan_repair`.
    """
    if store.bucket is None:
        _plan(store)  # refuses what it cannot repair before anything is locked
    else:
        check_there(store)
    with store.writer(purpose, migrating=True) as writer, on_this_machine(writer) as files:
        steps = _plan(files.store)
        for step in steps:
            step.run(files.writer)
        files.send()
    return steps


def _identity_step(store: Store, releases: Iterable[Release]) -> Step:
    noted = store.note.read() if store.note else None
    said = [one.facts["store"] for one in releases if one.facts.get("store")]
    new = Identity.new(every_table(store, releases))
    # A store of format 1 is migrated again rather than never: the step finds nothing left to do where it was done.
    at = 1 if any(map(SHARED.fullmatch, new.tables)) else new.format
    identity = replace(new, id=noted["id"] if noted else said[-1] if said else new.id, format=at)

    def run(writer: Writer) -> None:
        set_aside(store.folder, store.folder / IDENTITY)
        identity.write(store.folder)

    return Step(f"{IDENTITY}: is written anew with the id {identity.id} and {len(identity.tables)} tables", run)


def _releases_step(releases: list[Release]) -> Step:
    def run(writer: Writer) -> None:
        have = {one.name for one in all_releases(writer.store)}
        rows = [row_of(one) for one in releases if one.name not in have]
        if rows:
            writer.upsert(RELEASES_TABLE, pa.Table.from_pylist(rows, schema=RELEASES), RELEASES)
        if have or rows:
            write_copy(writer.store)

    return Step(f"{RELEASES_TABLE}: {len(releases):,} releases are brought back from table and copy", run)


def _journal_steps(store: Store, broken: set[str]) -> list[Step]:
    if JOURNAL not in broken:
        return []
    lines = damaged_lines(store.folder)

    def run(writer: Writer) -> None:
        set_aside(store.folder, store.folder / JOURNAL, keep=True)
        with answer_log(writer):
            pass  # opening it commits the whole lines

    listed = ", ".join(map(str, lines[:10])) + ", ..." * (len(lines) > 10)
    what = f"{JOURNAL}: line {listed} is left out, the other lines go to the table"
    return [Step(what, run, len(lines))]


def _release_steps(store: Store, check: Checker, releases: list[Release]) -> list[Step]:
    served = [one for one in releases if one.damaged is None]
    foreign = {name: one.fault.what for one in strangers(served, identity_of(store)) for name in one.releases}
    why = {
        one.name: foreign.get(one.name) or "; ".join(f"{fault.file}: {fault.what}" for fault in faults)
        for one in served
        if (faults := release_faults(check, one)) or one.name in foreign
    }
    whole = [one.name for one in served if one.name not in why]
    now = f"{whole[-1]} is current" if whole else "none is left until the next refresh"
    steps: list[Step] = []
    for release in served:
        if release.name in why:
            what = f"{release.name}: is taken out of service; {now}"
            steps.append(Step(what, _marking(release, why[release.name])))
    return steps


def _marking(release: Release, why: str) -> Callable[[Writer], None]:
    return lambda writer: void(mark_damaged(writer, release, why))


def void(_: object) -> None:
    """Drop a result."""


def _unused_steps(store: Store, found: Iterable[Finding]) -> list[Step]:
    def one(finding: Finding) -> Step:
        file = store.folder / finding.fault.file
        if finding.harmless:
            return Step(f"{finding.fault.file}: is deleted, no version uses it", lambda _: file.unlink(missing_ok=True))
        return Step(f"{finding.fault.file}: is set aside, no release holds it", lambda _: set_aside(store.folder, file))

    return [one(finding) for finding in found]


def _sums_again(writer: Writer) -> None:
    store = writer.store
    set_aside(store.folder, store.folder / SUMS)
    for release in all_releases(store):
        if release.damaged is None:
            note_sums(store.folder, release.versions)
    note_sums(store.folder, {table: store.version(table) for table in store.tables()})


def _table_step(store: Store, one: TableRepair) -> Step:
    def run(writer: Writer) -> None:
        one.run(writer)
        for step in _unused_steps(store, unused(Checker(store.folder, read_sums(store.folder)), one.table)):
            step.run(writer)

    calls = _lost_answers(store, one) if one.table == ANSWERS_TABLE else 0
    cost = f"; {calls:,} answers are lost, asking them anew costs {calls:,} calls" if calls else ""
    return Step(one.what + (cost or _again(one.table)), run, calls)


def _again(table: str) -> str:
    return fix_of(Fault(table, "", "")).removeprefix(REPAIR)


def _lost_answers(store: Store, one: TableRepair) -> int:
    """Count the answers that are lost: those that the lineage names, or as many as the table had."""
    try:
        named = set(read_lineage(store, columns=["answer_key"])["answer_key"].drop_nulls())
    except StoreFault:
        named = set()
    return max(one.lost, len(named - one.kept - journalled(store)))
