"""Check, before any cost, that knowflow.yaml makes the vectors that the arms read."""

from collections.abc import Collection

from app.config import Config
from app.workplace import chosen_tasks, encoder_names, open_store
from base.faults import WrongUse
from ctr.controls import arms_of, fitted_to, lacking
from feature_store.lineage import VectorName
from feature_store.releases import list_releases


def check_arms(config: Config) -> list[str]:
    """Check that the arms of `train.arms` get their vectors.

    Returns:
        The missing inputs of the default arms, one sentence each; empty if `train.arms` is set.

    Raises:
        WrongUse: An arm in `train.arms` reads vectors that nothing makes; reports all such arms at once.
    """
    there, plugins = vectors_to_come(config), config.plugin_folders
    if config.train.arms is None:
        return lacking(there, plugins)
    arms = arms_of(plugins) | fitted_to(there, plugins)
    own = {VectorName.read(one).technique for one in there}  # a technique that is made is an arm too, with controls
    of_none = [name for name in config.train.arms if name not in arms and not _is_one_of(name, own)]
    named = {name: arms[name] for name in config.train.arms if name in arms}
    faults = {name: [one for one in arm.vectors if one not in there] for name, arm in named.items()}
    words = [f"train.arms: {name} is no arm, and no technique that is made" for name in of_none]
    words += [f"train.arms: {name} reads {', '.join(missing)}" for name, missing in faults.items() if missing]
    if words:
        made = ", ".join(sorted(there)) or "none"
        raise WrongUse(
            "\n".join(words) + f"\n  knowflow.yaml makes vectors of: {made}\n"
            "  add the technique under tasks: and the encoder under encoders:, or remove the arm from train.arms"
        )
    return []


def _is_one_of(name: str, techniques: Collection[str]) -> bool:
    """Return whether a name is that of a technique, or of a control of one, such as `kar_item-shuffled`."""
    return name in techniques or name.rpartition("-")[0] in techniques


def vectors_to_come(config: Config) -> set[str]:
    """Return the possible vectors of the next release as `task/encoder`: from knowflow.yaml and existing ones."""
    found: set[str] = set()
    for task in chosen_tasks(config, None):
        names = (task.name, *(f"{task.name}.{part}" for part in task.parts))
        found |= {str(VectorName(name, encoder)) for name in names for encoder in encoder_names(config, task.name)}
    releases = list_releases(open_store(config))
    return found | (set(map(str, releases[-1].vectors)) if releases else set())
