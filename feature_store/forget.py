"""Forget users: a store whose tables, in every version that a release holds, are what they were without them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pyarrow as pa

from feature_store.checksums import note_sums, read_sums, write_sums
from feature_store.cleaned import Cleaner, clean_table, holds_any, pass_numbers
from feature_store.database import Store, Writer
from feature_store.files import forget_versions
from feature_store.leak_record import drop_record
from feature_store.release_record import Release, row_of
from feature_store.releases import TABLE as RELEASES_TABLE
from feature_store.releases import all_releases, write_copy
from feature_store.schemas import RELEASES
from feature_store.scrub import Scrubber
from feature_store.swap import replace_staged, staged_folder
from feature_store.traces import Traces


@dataclass(frozen=True)
class ForgetPlan:
    """What forgetting changes in a store."""

    tables: tuple[str, ...]
    """Tables that are written anew."""
    releases: tuple[str, ...]
    """Releases that go on, with the new versions of these tables."""


def plan_tables(store: Store, traces: Traces) -> ForgetPlan:
    """Find the tables to write anew. Writes nothing."""
    kept = Cleaner(traces)
    tables = [table for table in store.tables() if table != RELEASES_TABLE and holds_any(store, table, kept)]
    served = [one for one in all_releases(store) if one.damaged is None]
    return ForgetPlan(tuple(tables), tuple(one.name for one in served if set(tables) & one.versions.keys()))


def forget_in_store(writer: Writer, traces: Traces) -> ForgetPlan:
    """Write the tables of a store anew without some users, and pin every release to the new versions.

    Nothing changes until all of it is written; then everything takes its place at once (`feature_store.swap`). A
    release that a repair took out of service stays on record and keeps no version.

    Args:
        writer: The store's writer.
        traces: What goes.

    Raises:
        StoreFault: A table is damaged.
    """
    store = writer.store
    drop_record(store.folder)  # it would tell whether somebody was there
    plan, releases, kept = plan_tables(store, traces), all_releases(store), Cleaner(traces)
    staged = Store(staged_folder(store.folder))
    served = [one for one in releases if one.damaged is None]
    moved: dict[str, Mapping[int, int]] = {}
    for table in plan.tables:
        pinned = {one.name: one.versions[table] for one in served if table in one.versions}
        moved[table] = clean_table(store, staged, table, pinned, kept)
    scrub = Scrubber(traces.users, traces.needles)
    again = [_moved(staged, one, moved, scrub) for one in releases]
    if again == releases and not moved:
        return plan
    if again:
        rows = pa.Table.from_pylist([row_of(one) for one in again], schema=RELEASES)
        Writer(staged).upsert(RELEASES_TABLE, rows, RELEASES)
        pass_numbers(staged, RELEASES_TABLE, store.version(RELEASES_TABLE))
        forget_versions(staged.path(RELEASES_TABLE), timedelta(0))
        write_copy(staged)
    note_sums(staged.folder, {table: staged.version(table) for table in [*moved, *([RELEASES_TABLE] if again else [])]})
    replaced = {f"{table}.lance" for table in (*moved, RELEASES_TABLE)}
    others = {path: one for path, one in read_sums(store.folder).items() if path.split("/")[0] not in replaced}
    write_sums(staged.folder, {**others, **read_sums(staged.folder)})
    replace_staged(store.folder)
    return plan


def _moved(staged: Store, release: Release, moved: Mapping[str, Mapping[int, int]], scrub: Scrubber) -> Release:
    """Return a release with the new versions of its tables, their digests, and facts that name nobody."""
    facts = scrub(dict(release.facts))
    if release.damaged is not None:
        return replace(release, versions={}, facts=facts)
    new = {table: moved[table][version] for table, version in release.versions.items() if table in moved}
    if not new:
        return replace(release, facts=facts)
    digests = {**facts.get("checksums", {}), **note_sums(staged.folder, new)}
    return replace(release, versions={**release.versions, **new}, facts={**facts, "checksums": digests})
