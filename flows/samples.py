"""What training reads: the samples of a config, and the vectors of a release that arms name."""

from collections.abc import Iterable, Mapping

from ctr.arms import Arm, choose_arms
from ctr.samples import Samples, build_samples
from feature_store.knowledge import Knowledge
from feature_store.releases import Release, released_knowledge
from flows.config import Config
from flows.workplace import open_dataset, open_store
from llm_tasks.pipeline.catalogue import find_tasks
from sources.history import histories
from sources.split import split
from sources.tables import Dataset


def open_samples(config: Config, dataset: Dataset | None = None) -> Samples:
    """Build the samples of a config; the data is loaded unless it is given."""
    dataset = dataset or open_dataset(config)
    parts = split(dataset.events, config.source.split).to_list()
    past = histories(dataset.events, config.source.history.length)
    return build_samples(dataset, parts, past, config.train.folds)


def arms_in(release: Release, names: Iterable[str] | None) -> list[Arm]:
    """Arms by name, with the techniques a release holds as arms of their own.

    Raises:
        UnknownArm: A name is neither.
    """
    tasks: dict[str, tuple[str, list[str]]] = {}
    known = find_tasks()
    for made in release.facts.get("vectors", {}):
        task, encoder = made.split("/")
        if task in known:
            tasks.setdefault(task, (known[task].entity, []))[1].append(encoder)
    return choose_arms(list(names) if names is not None else None, tasks)


def read_vectors_of(config: Config, release: Release, arms: Iterable[Arm]) -> Mapping[str, Knowledge]:
    """Read the vectors that arms name, each once.

    Raises:
        NoRelease: The release lacks some of them; the text says which.
    """
    store = open_store(config)
    wanted = dict.fromkeys(name for arm in arms for name in arm.vectors)
    return {name: released_knowledge(store, release, *name.split("/", 1)) for name in wanted}
