"""How an event becomes a label: the settings under `label:`, and the rules between them and those of the events."""

from collections.abc import Collection
from typing import Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator

from base.frozen import Frozen

ONE_TARGET = (
    "set exactly one of events.rating, events.label and events.impressions; or for a log of positives only set none of "
    "them, and label.negatives: {per_positive: 4}"
)
NO_RULE = "is missing; set it to the smallest rating that counts as liked"


class NegativesConfig(Frozen):
    """How negatives are sampled for a log of positives only."""

    per_positive: int = Field(default=4, ge=1, le=1000)
    """Sampled negatives of each event; fewer where there are not so many items to draw from."""
    by: Literal["uniform", "popularity"] = "uniform"
    """uniform: from the items that had an event of anybody before; popularity: by drawing earlier events, so that an
    item is the likelier the more events it had. Never an item that the user had an event with until then."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Another seed draws other negatives."""

    def told(self) -> str:
        """Say what the figures are worth.

        Example:
            >>> NegativesConfig().told()[:49]
            'negatives are sampled: 4 per positive, uniform: f'
        """
        how = f"{self.per_positive:,} per positive, {'uniform' if self.by == 'uniform' else 'by popularity'}"
        return f"negatives are sampled: {how}: figures hold for these samples, not for items that were really shown"


class LabelConfig(Frozen):
    """How a rating, a weight or the type of an event becomes a label."""

    rating_at_least: float | None = Field(
        default=None, allow_inf_nan=False, validation_alias=AliasChoices("rating_at_least", "at_least")
    )
    """The smallest rating that counts as liked; also called at_least, for a weight such as a number of plays."""
    positive: tuple[str, ...] = ()
    """Values of events.label that are positive, such as [purchase, cart], where it holds types of events."""
    missing: tuple[float, ...] = ()
    """Ratings that mean `not rated`, such as [-1]; their rows are left out, and how many is said."""
    rating_range: tuple[float, float] | None = None
    """The smallest and the largest possible rating, as in [0.5, 5]; a rating outside is a fault."""
    negatives: NegativesConfig | None = None
    """For a log of positives only, without `events.rating`, `events.label` and `events.impressions`: every event is
    positive, and negatives are sampled. Models are trained and judged on both; everything else sees real events
    only."""

    @field_validator("rating_range")
    @classmethod
    def _holds_the_rule(cls, bounds: tuple[float, float] | None, info: ValidationInfo) -> tuple[float, float] | None:
        if bounds is None:
            return None
        low, high = bounds
        if not low < high:
            raise ValueError("should be [smallest, largest]")
        least = info.data.get("rating_at_least")
        if least is not None and not low <= least <= high:
            raise ValueError(f"does not include label.rating_at_least, which is {least:g}")
        return bounds


def across(targets: Collection[str], has_rule: bool, samples: bool) -> list[tuple[tuple[str, str], str]]:
    """Return the faults of labels that no section has alone: the setting, and what is wrong with it.

    Args:
        targets: Which of rating, label and impressions the events set.
        has_rule: Whether `label.rating_at_least` is set.
        samples: Whether `label.negatives` is set.

    Example:
        >>> across(["rating"], has_rule=True, samples=False)
        []
    """
    found: list[tuple[tuple[str, str], str]] = []
    if "rating" in targets and not has_rule:
        found.append((("label", "rating_at_least"), NO_RULE))
    if not targets and not samples:
        found.append((("events", "label"), ONE_TARGET))
    if targets and samples:
        named = " and ".join(f"events.{name}" for name in targets)
        words = f"is for a log of positives only, but {named} is set, which knows its negatives: leave out one of them"
        found.append((("label", "negatives"), words))
    return found
