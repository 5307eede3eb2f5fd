"""Verify a store: read every table of every release whole, check it against its checksums, and say what is damaged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from feature_store.answers import JOURNAL, damaged_lines
from feature_store.checksums import FILE as SUMS
from feature_store.checksums import Sum, digest_of, read_sums, versions_of
from feature_store.database import Store
from feature_store.identity import FILE as IDENTITY
from feature_store.identity import Identity, NewerStore, StoreFault, read_identity
from feature_store.release_record import Release
from feature_store.releases import COPY, NoRelease, all_releases, read_copy
from feature_store.releases import TABLE as RELEASES_TABLE
from feature_store.swap import BEGUN, LIST, WORK
from feature_store.whole import Checker, Fault
from feature_store.work_copy import to_look_at

REPAIR = "knowflow repair"
MADE_AGAIN = {
    "vectors_": "the next refresh encodes again what is lost, without a call",
    "encoder_states": "the next refresh fits it again, without a call",
    "documents": "the next refresh makes it again, without a call",
    "lineage": "the next refresh makes its rows again from the answers, without a call",
    "answers": "what is lost is asked anew; the plan of the repair counts the calls",
    "releases": "it is brought back from its copy",
    "runs": "only the estimates of plan are lost",
    "rewrites": "what is lost is made again: knowflow rewrites",
    "codes": "what is lost is made again: knowflow codes",
}
"""First letters of a table -> what becomes of it after a repair."""


@dataclass(frozen=True)
class Finding:
    """One damage, and what to do about it."""

    fault: Fault
    """Where it is, and what is wrong."""
    fix: str
    """What to do."""
    releases: tuple[str, ...] = ()
    """Releases that it touches."""
    harmless: bool = False
    """Whether everything can be read in spite of it."""


@dataclass(frozen=True)
class Report:
    """What a verification found."""

    releases: tuple[str, ...]
    """Releases that were checked."""
    versions: int
    """Versions of tables that were read whole."""
    files: int
    """Files that were checked."""
    without_sum: int
    """Files among them whose checksum no release has taken yet: they were read, and not compared."""
    findings: tuple[Finding, ...]
    """What is wrong."""

    @property
    def whole(self) -> bool:
        """Return whether nothing is damaged."""
        return all(one.harmless for one in self.findings)


def verify(store: Store, name: str | None = None) -> Report:
    """Verify a store, or one release of it. Writes nothing to it; of one in a bucket, a copy is taken and read.

    Args:
        store: The store.
        name: A release; all, and what no release holds yet, if not given.

    Raises:
        NoRelease: There is no release of that name.
        StoreFault: There is no store, or it was written by a newer version.
        WrongUse: The store is in a bucket, and another process is writing to it.
    """
    with to_look_at(store, "knowflow verify") as files:
        return _verify(files, name)


def _verify(store: Store, name: str | None) -> Report:
    known, beside = check_beside(store)
    check = Checker(store.folder, known)
    releases, found = readable_releases(store, check)
    served = [one for one in releases if one.damaged is None and name in (None, one.name)]
    if name is not None and not served:
        raise NoRelease(f"{store.folder}: there is no release '{name}' that is served\n  see: knowflow release list")
    touched: dict[Fault, list[str]] = {}
    for release in served:
        for fault in release_faults(check, release):
            touched.setdefault(fault, []).append(release.name)
    for table in every_table(store, releases) if name is None else ():
        for fault in check.newest(table):
            touched.setdefault(fault, [])
    findings = [*beside, *found, *strangers(served, identity_of(store))]
    findings += [Finding(one, fix_of(one), tuple(names)) for one, names in touched.items()]
    damaged, files = {one.fault.table for one in findings}, list(check.files)
    for table in store.on_disk() if name is None else ():
        findings += unused(check, table) if table not in damaged else ()
    return Report(
        tuple(one.name for one in served),
        len(check.versions),
        len(files),
        sum(path not in known for path in files),
        tuple(merged(findings)),
    )


def merged(findings: Sequence[Finding]) -> Iterable[Finding]:
    """Return each fault once, with all releases that it touches."""
    by_fault: dict[Fault, Finding] = {}
    for one in findings:
        old = by_fault.get(one.fault)
        by_fault[one.fault] = one if old is None else replace(old, releases=tuple({*old.releases, *one.releases}))
    return by_fault.values()


def check_beside(store: Store) -> tuple[Mapping[str, Sum], list[Finding]]:
    """Check the files beside the tables; return the checksums and what is wrong.

    Raises:
        StoreFault: There is no store, or it was written by a newer version.
    """
    if not store.folder.is_dir() or not (store.on_disk() or (store.folder / IDENTITY).exists()):
        if store.note is not None:
            store.note.check(store.folder)
        raise StoreFault(f"{store.folder}: there is no store\n  make one: knowflow refresh")
    found: list[Finding] = []
    noted = store.note.read() if store.note else None
    try:
        identity = read_identity(store.folder)
        if identity is None and noted is not None:
            found.append(_beside(IDENTITY, "it is missing", f"it is made anew from what is there: {REPAIR}"))
        elif identity is not None and noted is not None and noted["id"] != identity.id:
            what = f"this is another store: its id is {identity.id}, and this config used {noted['id']}"
            found.append(_beside(IDENTITY, what, "bring the right one back, or set home: in knowflow.yaml"))
    except NewerStore:
        raise
    except StoreFault as error:
        found.append(_beside(IDENTITY, _reason(error), f"it is made anew from what is there: {REPAIR}"))
    known: Mapping[str, Sum] = {}
    try:
        known = read_sums(store.folder)
    except StoreFault:
        found.append(_beside(SUMS, "it cannot be read", f"it is made anew from what is there: {REPAIR}"))
    try:
        read_copy(store)
    except StoreFault:
        found.append(_beside(COPY, "it cannot be read", f"it is made anew from the table: {REPAIR}"))
    fix = f"its answer alone is lost, and asked anew by the next refresh: {REPAIR} takes the line out"
    found += [_beside(JOURNAL, f"line {number} is damaged", fix) for number in damaged_lines(store.folder)]
    if (store.folder / WORK).is_dir():
        what, fix = "users were being forgotten, and that was not finished", "knowflow forget --yes"
        if (store.folder / WORK / LIST).is_file() and not (store.folder / WORK / BEGUN).is_file():
            what, fix = "a copy to here was being put in place", "the same knowflow copy-store again, which finishes it"
        found.append(Finding(Fault("", WORK, what), fix, harmless=True))
    return known, found


def _beside(file: str, what: str, fix: str) -> Finding:
    return Finding(Fault("", file, what), fix)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(" is damaged: ")[2] or str(error).partition("\n")[0]


def identity_of(store: Store) -> Identity | None:
    """Return the identity of a store; None if it cannot be read."""
    try:
        return read_identity(store.folder)
    except StoreFault:
        return None


def readable_releases(store: Store, check: Checker) -> tuple[list[Release], list[Finding]]:
    """Return the releases, from their table or else from its copy, and what is wrong with the table."""
    identity = identity_of(store)
    if not versions_of(store.path(RELEASES_TABLE)) and not (identity and RELEASES_TABLE in identity.tables):
        return [], []
    faults = check.newest(RELEASES_TABLE)
    if not faults:
        return all_releases(replace(store, note=None)), []
    try:
        copied = read_copy(store)
    except StoreFault:
        copied = []
    return copied, [Finding(one, fix_of(one)) for one in faults]


def strangers(releases: Iterable[Release], identity: Identity | None) -> Iterable[Finding]:
    """Return the releases that belong to another store."""
    for one in releases:
        of = one.facts.get("store")
        if identity is not None and of is not None and of != identity.id:
            what = f"{one.name} belongs to another store, {of}; this one is {identity.id}"
            fix = f"it is taken out of service: {REPAIR}"
            yield Finding(Fault(RELEASES_TABLE, f"{RELEASES_TABLE}.lance", what), fix, (one.name,))


def release_faults(check: Checker, release: Release) -> list[Fault]:
    """Return what is wrong with the tables of a release."""
    faults: list[Fault] = []
    for table, version in release.versions.items():
        damaged = check.version(table, version)
        digest = release.facts.get("checksums", {}).get(table)
        if not damaged and digest is not None and digest_of(check.sums(table, version)) != digest:
            damaged = (Fault(table, f"{table}.lance", f"version {version} is not what {release.name} was made of"),)
        faults += damaged
    return faults


def every_table(store: Store, releases: Iterable[Release]) -> list[str]:
    """Return the names of all tables that are there or that should be."""
    identity = identity_of(store)
    pinned = {table for one in releases if one.damaged is None for table in one.versions}
    return sorted({*store.on_disk(), *(identity.tables if identity else pinned)})


def unused(check: Checker, table: str) -> list[Finding]:
    """Return old manifests that cannot be opened, and files that no version uses: a killed writer leaves such."""
    path = check.folder / f"{table}.lance"
    used: set[str] = set()
    found: list[Finding] = []
    for version in versions_of(path):
        files = check.opened(table, version)
        if isinstance(files, Fault):
            found.append(Finding(files, f"an old version, which no release holds: {REPAIR}"))
        else:
            used |= files.keys()
    if found:
        return found
    there = [file for part in ("data", "_deletions") for file in sorted((path / part).glob("*"))]
    left = [file.relative_to(check.folder).as_posix() for file in there]
    fix = f"nothing is lost by it: {REPAIR} deletes it"
    return [Finding(Fault(table, one, "no version uses it"), fix, harmless=True) for one in left if one not in used]


def fix_of(fault: Fault) -> str:
    """Say what to do about a damaged table."""
    again = next((words for start, words in MADE_AGAIN.items() if fault.table.startswith(start)), "")
    return REPAIR + (f"; {again}" if again else "")
