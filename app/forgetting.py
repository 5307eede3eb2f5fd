"""Forget users: plan it, do it so that a kill at any moment can be finished, prove it by a search, leave a receipt."""

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app.config import Config
from app.forget_checks import check_home, check_known
from app.forget_home import Change, home_changes
from app.forget_inputs import Inputs, count_inputs, read_data
from app.learnt import Learnt, learnt_from
from app.progress import progress
from app.workplace import open_store
from base.faults import CheckFailed, WrongUse
from base.files import write_whole
from feature_store.answers import answer_log
from feature_store.database import Store
from feature_store.forget import ForgetPlan, forget_in_store, plan_tables
from feature_store.forgotten import RECEIPTS, note_forgotten, read_forgotten
from feature_store.identity import read_identity
from feature_store.needles import Needles
from feature_store.scrub import Scrubber
from feature_store.seek import Search, search_folder
from feature_store.swap import BEGUN, WORK
from feature_store.table_repair import ASIDE
from feature_store.traces import IMPERSONAL, Traces, find_traces
from feature_store.work_copy import WorkCopy, on_this_machine, to_look_at
from llm_tasks.pipeline.catalogue import find_tasks

Elsewhere = Callable[[Callable[[Any], bool]], Mapping[str, Any] | None]
"""Forgets users in a place outside the home: gets what says whether plain JSON names one, returns what it did."""
OLD_OBJECTS = (
    "old versions of objects that the bucket keeps, uploads that were broken off, replicas and backups still hold them:"
    " delete those with the tools of the service"
)
"""What no command of ours can delete in a bucket."""
PURPOSE = "knowflow forget"
"""Shown to others that want to write: the command itself would name the users."""


@dataclass(frozen=True)
class Plan:
    """What forgetting some users would do."""

    traces: Traces
    """What the store holds of them."""
    tables: ForgetPlan
    """Tables that are written anew, and the releases that go on with them."""
    changes: tuple[Change, ...]
    """Files beside the store that change."""
    learnt: tuple[Learnt, ...]
    """What has learnt from them, and stays as it is."""
    inputs: Inputs
    """What the input files hold of them, and go on holding."""

    def holds(self, told: Any) -> bool:
        """Return whether plain JSON names one of the users."""
        return Scrubber(self.traces.users, self.traces.needles)(told) != told

    def removed(self) -> dict[str, Any]:
        """Return counts of what goes, plain JSON."""
        return {
            "rows": dict(self.traces.tasks),
            "rows_of_others": self.traces.of_others,
            "answers": len(self.traces.answers),
            "answers_unnamed": self.traces.unnamed,
            "tables": list(self.tables.tables),
            "releases": list(self.tables.releases),
            "files": {one.file: one.what for one in self.changes},
        }


def plan_forgetting(config: Config, users: Collection[str]) -> Plan:
    """Find out what forgetting some users would do. Writes nothing.

    Raises:
        WrongUse: Nobody is named.
        StoreFault: There is no store, or it is damaged.
    """
    store = open_store(config)
    with to_look_at(store, PURPOSE, progress()) as files:
        begun = _begun(files)
        return _plan(config, files, _named(users, begun), begun)


def _plan(config: Config, store: Store, users: frozenset[str], begun: Mapping[str, Any]) -> Plan:
    check_home(config)
    dataset = read_data(config)
    doubts = check_known(dataset, store, users)
    traces = find_traces(store, users, impersonal_prompts(config), doubts.within, doubts.same)
    needles = Needles(traces.needles.texts | set(begun.get("texts", ())), traces.needles.ids)
    traces = replace(traces, needles=needles)
    inputs = count_inputs(config, dataset, users)
    changes = home_changes(config.home_folder, store.folder, traces, inputs.keys)
    learnt = learnt_from(config, store, traces, inputs.first)
    return Plan(traces, plan_tables(store, traces), tuple(changes), tuple(learnt), inputs)


def _named(users: Collection[str], begun: Mapping[str, Any]) -> frozenset[str]:
    named = frozenset(users) | set(begun.get("users", ()))
    if not named:
        raise WrongUse("nobody is named\n  name users by their ids: knowflow forget USER..., or --file FILE")
    return named


def impersonal_prompts(config: Config) -> frozenset[str]:
    """Return the names of prompts that only techniques about items or queries use."""
    tasks = [task for task in find_tasks(config.plugin_folders).values() if task.prompt is not None]
    personal = {task.prompt for task in tasks if task.entity not in IMPERSONAL}
    return frozenset(task.prompt for task in tasks if task.prompt and task.prompt not in personal)


def forget(config: Config, users: Collection[str], elsewhere: Elsewhere = lambda _: None) -> dict[str, Any]:
    """Forget some users; whatever was begun and killed before is finished too.

    Args:
        config: The config.
        users: Ids of the users.
        elsewhere: Forgets them outside the home, such as on a Prefect server.

    Returns:
        The receipt, plain JSON, with its `file`.

    Raises:
        WrongUse: Nobody is named, or another process is writing.
        StoreFault: There is no store, or it is damaged.
        CheckFailed: The search at the end found something; the text names the files.
    """
    store = open_store(config)
    if store.place.identity() is None and not store.on_disk():
        raise WrongUse(f"{store}: there is no store, so there is nobody to forget in it")
    with store.writer(PURPOSE) as writer:
        if store.bucket is not None:
            with answer_log(writer):
                pass  # what the journal holds was paid for, and a kill loses the copy that is worked on
        with on_this_machine(writer, progress()) as files:
            begun = _begun(files.store)
            plan, when = _plan(config, files.store, _named(users, begun), begun), datetime.now(UTC)
            done = _Forgetting(config, files, plan, begun, when, elsewhere)
            for step in done.steps():
                step()
    return done.receipt


def _begun(store: Store) -> dict[str, Any]:
    """Return what a forgetting that was killed had begun with; empty if there is none."""
    file = store.folder / WORK / BEGUN
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


class _Forgetting:
    """The steps of forgetting; each can be killed and done again."""

    def __init__(
        self,
        config: Config,
        files: WorkCopy,
        plan: Plan,
        begun: Mapping[str, Any],
        when: datetime,
        elsewhere: Elsewhere,
    ) -> None:
        self.config, self.files, self.plan, self.begun, self.when = config, files, plan, begun, when
        self.elsewhere = elsewhere
        self.outside: Mapping[str, Any] | None = None
        self.writer, self.store, self.home = files.writer, files.store, config.home_folder
        self.receipt: dict[str, Any] = {}

    def steps(self) -> list[Callable[[], None]]:
        """Return the steps in order."""
        return [self.begin, self.note, self.clean, self.tidy, self.send, self.outdoors, self.prove, self.end]

    def begin(self) -> None:
        """Write down what is searched for, before it is gone."""
        traces, learnt = self.plan.traces, [asdict(one) for one in self.plan.learnt]
        before = self.begun.get("learnt", [])
        said = {
            "users": sorted(traces.users),
            "texts": sorted(traces.needles.texts),
            "removed": _merged(self.plan.removed(), self.begun.get("removed", {})),
            "learnt": [*before, *(one for one in learnt if one not in before)],
        }
        (self.store.folder / WORK).mkdir(exist_ok=True)
        write_whole(self.store.folder / WORK / BEGUN, json.dumps(said))
        self.begun = said

    def note(self) -> None:
        """Note who is forgotten, so that nobody asks about them from now on."""
        when = self.when.isoformat(timespec="seconds")
        note_forgotten(self.store.folder, self.home, self.plan.traces.users, when)

    def clean(self) -> None:
        """Write the tables of the store anew."""
        with answer_log(self.writer):
            pass  # opening it moves the answers of the journal to the table
        forget_in_store(self.writer, self.plan.traces)

    def tidy(self) -> None:
        """Clean the files beside the tables; what repairs have set aside cannot be looked through, and goes."""
        shutil.rmtree(self.store.folder / ASIDE, ignore_errors=True)
        for change in self.plan.changes:
            change.run()

    def send(self) -> None:
        """Bring a bucket to what its files are here now, which is what the search at the end looks through."""
        self.files.send()

    def outdoors(self) -> None:
        """Forget them outside the home."""
        self.outside = self.elsewhere(self.plan.holds)

    def prove(self) -> None:
        """Search every file of the home, and write the receipt."""
        found = search_folder(self.home, self.plan.traces, without=(self.store.folder / WORK,))
        self.receipt = self._receipt(found)
        file = self.home / RECEIPTS / f"forget-{self.when:%Y%m%dT%H%M%S%f}.json"
        write_whole(file, json.dumps(self.receipt, indent=1) + "\n")
        self.receipt["file"] = str(file)
        if found.found:
            files = "\n".join(f"  {one.file} ({one.where})" for one in found.found)
            raise CheckFailed(
                f"{len(found.found):,} files of {self.home} still hold something of the forgotten users:\n{files}\n"
                "delete them, or take the users out of them; then run the same command again"
            )

    def end(self) -> None:
        """Delete what was written down at the beginning."""
        shutil.rmtree(self.store.folder / WORK)

    def _receipt(self, found: Search) -> dict[str, Any]:
        forgotten, identity = read_forgotten(self.store.folder), read_identity(self.store.folder)
        bucket = self.config.store
        return {
            "forgotten_at": self.when.isoformat(timespec="seconds"),
            "store": identity.id if identity else None,
            "users": sorted(map(forgotten.digest, self.plan.traces.users)),
            "removed": self.begun["removed"],
            "has_learnt": self.begun["learnt"],
            "input_files": self.plan.inputs.told(),
            "queries_only_theirs": self.plan.inputs.queries,
            "prefect_server": self.outside,
            "search": asdict(found),
            "bucket": None if bucket is None else {"address": bucket.url, "note": OLD_OBJECTS},
        }


def _merged(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts of this run, or of the one that was killed where that found more."""
    merged = dict(now)
    for name, value in before.items():
        if isinstance(value, int):
            merged[name] = max(value, merged[name])
        elif isinstance(value, Mapping):
            merged[name] = {**merged[name], **value}
        else:
            merged[name] = sorted({*merged[name], *value})
    return merged
