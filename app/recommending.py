"""What a kept recommender names for one user, at a moment."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.config import Config
from app.recommend_evaluation import FOLDER
from app.workplace import open_dataset
from base.plugins import choose
from ctr.samples import codes_of
from recommenders.kept import load
from recommenders.log import Log, log_of, requests_at
from recommenders.protocol import RECOMMENDERS
from sources.tables import Dataset


@dataclass(frozen=True)
class Recommended:
    """What is recommended."""

    user: str
    """For whom."""
    recommender: str
    """Its name."""
    as_of: datetime
    """The moment: history is what the user did strictly before it."""
    seen_until: str
    """The newest event that the recommender was fitted on, ISO."""
    events: int
    """How many events of the user's history the recommender knows the items of."""
    items: tuple[dict[str, Any], ...]
    """`item`, `title` and `score`, the best first."""

    @property
    def fitted_later(self) -> bool:
        """Whether it was fitted on events of this moment or later ones."""
        return datetime.fromisoformat(self.seen_until) >= self.as_of


def recommend_items(config: Config, user: str, name: str, k: int, as_of: datetime | None = None) -> Recommended:
    """Ask a recommender that `knowflow eval recommend` kept.

    Args:
        config: The config.
        user: Id of a user; one without events gets what anybody without a history would.
        name: The recommender.
        k: How many items, at most.
        as_of: The moment, UTC where it names no zone; now when left out.

    Raises:
        UnknownPlugin: There is no such recommender.
        WrongUse: It was not kept.
    """
    choose(RECOMMENDERS, [name], config.plugin_folders)
    kept = load(config.home_folder / FOLDER / name, config.plugin_folders)
    dataset = open_dataset(config)
    moment = datetime.now(UTC) if as_of is None else as_of.replace(tzinfo=as_of.tzinfo or UTC).astimezone(UTC)
    time = np.array([moment.replace(tzinfo=None)], dtype="datetime64[us]")
    requests = requests_at(_log_of_items(dataset, np.array(kept.items)), np.array([user]), time)
    ranked = kept.model.recommend(requests, k)
    titles = dict(dataset.items.select("item", "title").iter_rows())
    named = [
        (kept.items[place], score) for place, score in zip(ranked.items[0], ranked.scores[0], strict=True) if place >= 0
    ]
    items = tuple({"item": item, "title": titles.get(item), "score": float(score)} for item, score in named)
    return Recommended(user, name, moment, kept.facts["seen_until"], len(requests.past.user), items)


def _log_of_items(dataset: Dataset, items: np.ndarray) -> Log:
    """The log with the places of the items that a model was fitted with; without events of other items."""
    log = log_of(dataset)
    place = codes_of(dataset.items["item"].to_numpy().astype(str), items)
    moved = replace(log, item=place[log.item])
    return moved.where(moved.item >= 0)
