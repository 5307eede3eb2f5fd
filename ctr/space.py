"""The settings of training that a search tries: their ranges, and how values become a config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ctr.config import TrainConfig

Values = Mapping[str, float]
"""Setting, such as `learning_rate` or `trees.leaves` -> its value."""


@dataclass(frozen=True)
class Range:
    """The values of one setting that a search tries."""

    name: str
    """The setting."""
    low: float
    """Its lowest value."""
    high: float
    """Its highest value."""
    log: bool = True
    """Whether ratios of values count, not differences."""
    whole: bool = False
    """Whether values are whole numbers."""


@dataclass(frozen=True)
class Tried:
    """One finished trial."""

    values: Values
    """What was tried."""
    validation_auc: float
    """AUC on validation rows."""


NETWORK = (
    Range("learning_rate", 1e-3, 2e-2),
    Range("weight_decay", 1e-4, 1e-1),
    Range("epochs", 1, 3, log=False, whole=True),
    Range("batch_size", 128, 2048, whole=True),
    Range("embedding_dim", 4, 32, whole=True),
)
TREES = (
    Range("trees.count", 50, 400, whole=True),
    Range("trees.learning_rate", 2e-2, 2e-1),
    Range("trees.leaves", 7, 63, whole=True),
    Range("trees.least_samples", 20, 400, whole=True),
    Range("trees.column_share", 0.1, 1.0, log=False),
    Range("trees.penalty", 0.1, 100.0),
)


def ranges_of(config: TrainConfig, *, network: bool, trees: bool) -> tuple[Range, ...]:
    """Return what can be searched, widened to hold the present values; what is off (0) stays off.

    Args:
        config: The present settings.
        network: Whether the backbone has a network.
        trees: Whether it has trees.

    Example:
        >>> [one.name for one in ranges_of(TrainConfig(weight_decay=0), network=True, trees=False)]
        ['learning_rate', 'epochs', 'batch_size', 'embedding_dim']
    """
    able = (*(NETWORK if network else ()), *(TREES if trees else ()))
    now = values_of(config, able)
    return holding(tuple(one for one in able if now[one.name] > 0 or not one.log), [now])


def holding(ranges: tuple[Range, ...], tried: Sequence[Values]) -> tuple[Range, ...]:
    """Return ranges widened to hold some values; a setting that values do not name stays as it is.

    Example:
        >>> [(one.low, one.high) for one in holding((Range("epochs", 1, 3),), [{"epochs": 5}, {}])]
        [(1, 5)]
    """
    said = {one.name: [values[one.name] for values in tried if one.name in values] for one in ranges}
    return tuple(
        replace(one, low=min(one.low, *said[one.name]), high=max(one.high, *said[one.name])) if said[one.name] else one
        for one in ranges
    )


def values_of(config: TrainConfig, ranges: tuple[Range, ...]) -> dict[str, float]:
    """Return the present values of some settings.

    Example:
        >>> values_of(TrainConfig(), (NETWORK[0], TREES[2]))
        {'learning_rate': 0.006, 'trees.leaves': 15}
    """
    said = config.model_dump()
    parts = {one.name: one.name.split(".") for one in ranges}
    return {name: said[first][rest[0]] if rest else said[first] for name, (first, *rest) in parts.items()}


def with_values(config: TrainConfig, values: Values) -> TrainConfig:
    """Return the config with other values of some settings, and nothing left for the arms to try.

    Example:
        >>> changed = with_values(TrainConfig(), {"learning_rate": 0.01, "trees.leaves": 7})
        >>> changed.learning_rate, changed.trees.leaves, changed.trees.count, changed.search
        (0.01, 7, 150, ())
    """
    return TrainConfig.model_validate(merged(config.model_dump(), nested(values) | {"search": ()}))


def nested(values: Values) -> dict[str, Any]:
    """Return values in the form of knowflow.yaml.

    Example:
        >>> nested({"epochs": 2, "trees.leaves": 7, "trees.count": 50})
        {'epochs': 2, 'trees': {'leaves': 7, 'count': 50}}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        if rest:
            found.setdefault(first, {})[rest] = value
        else:
            found[first] = value
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings where those above count and those below fill what is not said, at every level.

    Example:
        >>> merged({"epochs": 1, "trees": {"count": 50, "leaves": 7}}, {"trees": {"leaves": 15}})
        {'epochs': 1, 'trees': {'count': 50, 'leaves': 15}}
    """
    both = {
        name: merged(below[name], value)
        for name, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
    }
    return {**below, **above, **both}
