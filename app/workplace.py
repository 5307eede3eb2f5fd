"""Opens what a stage needs from the path of knowflow.yaml, so that Prefect tasks pass only paths and ids."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.config import Config, load_config
from app.home import damaged_store, open_store
from app.kept_data import forgotten_users, kept_dataset, loaded_digest
from app.unchanged import code_digest, named_digest
from base.faults import WrongUse
from encoders.protocol import EncoderConfig
from engines.choose import build_engine
from engines.protocol import Engine, SecretReader
from engines.ray.engine import RayEngine
from feature_store.database import Store
from feature_store.identity import Note
from feature_store.lineage import read_lineage
from feature_store.releases import list_releases
from llm_tasks.pipeline.catalogue import choose_tasks, find_tasks, in_order
from llm_tasks.pipeline.encode import choose_encoders
from llm_tasks.pipeline.plan import TaskPlan, plan_task
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import KeptPlans, Workplace
from prompts.domain import Domain, load_domain
from sources.load import load
from sources.negatives import trained_rows
from sources.parts import PartCount, count_parts
from sources.tables import Dataset

PLANS = "planned"
"""In the home folder: what refreshes keep of their plans."""


def begin_new_store(config: Config) -> None:
    """Let a config forget the store that it used, so that the next refresh begins a new one.

    Raises:
        WrongUse: There is a store where the config says.
    """
    store = damaged_store(config)
    if store.on_disk():
        raise WrongUse(f"{store}: there is a store\n  leave out --new-store, or move that store away")
    Note.beside(config.path).forget()


def open_dataset(config: Config) -> Dataset:
    """Load the user's data, the same way in every stage, without the users who were forgotten.

    Raises:
        SourceFaults: With all faults of the data at once.
        StoreFault: The list of the forgotten users is damaged.
    """
    forgotten = forgotten_users(config)
    digest = loaded_digest(config, forgotten)
    if (kept := kept_dataset(config, digest)) is not None:
        return kept
    return replace(load(config.source, config.folder, config.skipped(), forgotten), loaded_from=digest)


def split_counts(config: Config, dataset: Dataset | None = None) -> list[PartCount]:
    """What each part of the split holds, sampled negatives among it; the data is loaded unless it is given."""
    return count_parts(trained_rows(dataset or open_dataset(config)), config.source.split)


def open_domain(config: Config) -> Domain:
    """Load the domain of a config.

    Raises:
        WrongUse: The domain is invalid.
    """
    return load_domain(config.domain, config.folder, config.library.domain_folders)


def open_workplace(config: Config, secret: SecretReader | None = None, dataset: Dataset | None = None) -> Workplace:
    """Load data, domain and engine.

    Args:
        config: The config.
        secret: Reads a stored secret, such as the key of a model server; only an engine that answers needs it.
        dataset: The data, where it is loaded already.

    Raises:
        SourceFaults: With all faults of the data at once.
        WrongUse: The domain is invalid.
        EngineFault: The engine cannot be built.
    """
    domain = open_domain(config)
    return Workplace(
        dataset=dataset or open_dataset(config),
        domain=domain,
        engine=_engine(config, domain, secret),
        store=open_store(config),
        options=config.tasks,
        folder=config.folder,
        cutoff=config.engine.cutoff,
        library=config.library,
        stop_after_failures=config.engine.stop_after_failures,
    )


def kept_plans(config: Config) -> KeptPlans | None:
    """Return where refreshes keep what they planned; None if no digest covers the code that plans."""
    code, named = code_digest(config), partial(named_digest, config)
    if code is None:
        return None
    engine = named(config.engine.model_dump(mode="json"))
    return KeptPlans(config.home_folder / PLANS, code, engine, named, lambda: code_digest(config) == code)


def _engine(config: Config, domain: Domain, secret: SecretReader | None) -> Engine:
    """Build the engine that answers here or, with the executor ray, on a cluster."""
    if config.executor.name == "local":
        return build_engine(config.engine, domain, config.folder, secret, config.plugin_folders)
    return RayEngine(config.engine, domain, config.folder, config.executor, secret, config.plugin_folders)


def chosen_tasks(config: Config, names: Sequence[str] | None) -> tuple[Task, ...]:
    """Return the named tasks, else those in knowflow.yaml, else all that are not opt-in and have rows in the data.

    A task comes after the tasks whose answers it reads; these are included even if they are not named.

    Raises:
        UnknownPlugin: A name is not a technique.
        PluginFault: A technique needs one that is not there.
        WrongUse: One is about queries, and the data has none.
    """
    named = names or list(config.tasks) or None
    wanted = [task for task in choose_tasks(named, config.plugin_folders) if named or not task.opt_in]
    chosen = in_order(wanted, find_tasks(config.plugin_folders))
    if config.source.queries is not None:
        return chosen
    about = [task.name for task in chosen if task.entity == "query"]
    if about and named:
        fix = "map them in knowflow.yaml: queries: {path: ..., query: ...}"
        raise WrongUse(f"{', '.join(about)}: the data has no queries\n  {fix}")
    return tuple(task for task in chosen if task.name not in about)


def one_task(config: Config, name: str) -> Task:
    """Return one task by name, without the tasks that it reads.

    Raises:
        UnknownPlugin: The name is not a technique.
    """
    return choose_tasks([name], config.plugin_folders)[0]


def encoder_names(config: Config, name: str) -> tuple[str, ...]:
    """Return the names of the encoders for a technique's text, whether they can be used or not."""
    options = config.tasks.get(name)
    return tuple(config.encoders) if options is None or options.encoders is None else options.encoders


def encoders_of(config: Config, name: str) -> dict[str, EncoderConfig]:
    """Return the encoders for a technique's text, by name.

    Raises:
        WrongUse: A name is not an encoder, or its model cannot be used.
    """
    names = encoder_names(config, name)
    return choose_encoders(name, names, config.encoders, config.folder, config.plugin_folders)


def sharing_a_space(path: str | Path, names: Sequence[str]) -> list[str]:
    """Return the tasks to encode after a refresh: the refreshed ones, and released ones that share a space with them.

    A space changes when it is fitted again; vectors left in the old space would no longer be comparable.
    """
    config = load_config(path)
    known = find_tasks(config.plugin_folders)
    spaces = {known[name].lexical_space for name in names}
    releases = list_releases(open_store(config))
    released = {made.technique for made in releases[-1].vectors} if releases else set()
    others = sorted(name for name in released - set(names) if name in known and known[name].lexical_space in spaces)
    return [*names, *others]


def plan(
    config: Config, tasks: Sequence[str] | None = None, *, retry: Sequence[str] = (), dataset: Dataset | None = None
) -> list[TaskPlan]:
    """Plan a refresh without writing anything; the data is loaded unless it is given."""
    chosen = chosen_tasks(config, tasks)
    workplace = replace(open_workplace(config, dataset=dataset), kept=kept_plans(config))
    asked: set[str] = set()
    plans: list[TaskPlan] = []
    to_ask: dict[str, int] = {}
    for task in chosen:
        planned = plan_task(task, workplace, retry=retry, asked_before=asked)
        waits = {name: to_ask[name] for name in task.needs if to_ask.get(name)}
        plans.append(replace(planned, waits=waits))
        asked |= planned.asks.keys()
        to_ask[task.name] = planned.count("new") + planned.count("changed") + sum(waits.values())
    return plans


def errors_on_record(store: Store, names: Sequence[str] | None = None) -> dict[str, int]:
    """Count the rows without a text, by kind of error, of all tasks or of some."""
    errors = read_lineage(store, names, ["error"])["error"].drop_nulls().str.split(":").list.first()
    return dict(errors.value_counts().iter_rows())
