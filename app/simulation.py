"""Simulations: agents of a release against a kept model, and what they did as a file of its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from app.config import Config
from app.kept_models import open_model, score_events
from app.workplace import open_store, open_workplace
from base.progress import Progress, silent
from ctr.kept import Kept
from feature_store.database import command_line
from feature_store.lineage import newest_texts
from feature_store.releases import get_release, released_lineage
from llm_tasks.agent4rec import Pages, Simulation, agent4rec, simulate, traits
from llm_tasks.pipeline.ask import Asker
from llm_tasks.pipeline.generate import Spending
from llm_tasks.pipeline.workplace import OptionFault
from sources.tables import Dataset

CANDIDATES = 200
"""Items that a page is chosen from: those with the most training events."""


def simulate_agents(
    config: Config,
    arm: str,
    page_size: int = 5,
    most: int = 3,
    spending: Spending | None = None,
    progress: Progress = silent,
) -> tuple[Simulation, Path]:
    """Let the agents of the current release walk through pages that a kept model ranks.

    Args:
        config: The config.
        arm: The arm whose kept model ranks.
        page_size: Items on a page.
        most: Pages at most.
        spending: Prices, the budget of all rounds, and who watches.
        progress: Told how far a round is.

    Returns:
        What it came to, and the Parquet file of synthetic events: under `simulations/` in the home, never among events.

    Raises:
        OptionFault: The release holds no agents.
        UnfitKept: There is no kept model of this arm.
    """
    place, model = open_workplace(config), open_model(config, arm)
    store = open_store(config)
    tastes = newest_texts(released_lineage(store, get_release(store), [agent4rec.name], ["entity", "as_of", "text"]))
    if not tastes:
        raise OptionFault(f"there are no agents\n  make some: knowflow refresh --task {agent4rec.name}")
    dataset = place.dataset
    training = dataset.events.filter(pl.col("part") == "train")
    tiers = traits(training, dataset.items, dataset.category_fields)
    profiles = {user: {"tastes": text, **tiers[user]} for user, text in tastes.items()}
    names = {item["item"]: place.domain.item_name(item) for item in dataset.items.iter_rows(named=True)}
    pages = ranked_pages(config, model, dataset, list(profiles), page_size)
    with store.writer(command_line()) as writer:
        asker = Asker(agent4rec, place, writer, spending or Spending(config.prices), progress)
        done = simulate(asker, profiles, pages, names, most)
    file = config.home_folder / "simulations" / f"{arm}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    done.table().write_parquet(file)
    return done, file


def ranked_pages(config: Config, model: Kept, dataset: Dataset, users: Sequence[str], size: int) -> Pages:
    """Rank the most popular items for every user by a kept model, as if they were asked about after the whole log.

    Args:
        config: The config.
        model: The model.
        dataset: The log; nothing is added to it.
        users: Who is to be shown pages.
        size: Items on a page.
    """
    events = dataset.events
    counts = (
        events.filter(pl.col("part") == "train").group_by("item").len().sort("len", "item", descending=[True, False])
    )
    asked = pl.DataFrame({"user": list(users)}, schema={"user": pl.String}).join(counts.head(CANDIDATES), how="cross")
    had = events.select("user", "item").unique()
    asked = asked.join(had, on=["user", "item"], how="anti").sort("item", "user")
    later = asked.select(
        "user",
        "item",
        time=pl.lit(events["time"].max()) + pl.duration(seconds=1),
        label=pl.lit(0.0, dtype=pl.Float32),
        position=pl.lit(0, dtype=pl.UInt32),
        part=pl.lit("test"),
    )
    both = pl.concat([events, later], how="diagonal").select(events.columns)
    rows = np.arange(len(events), len(both))
    longer = Dataset(**{**vars(dataset), "events": both})
    scored = asked.with_columns(score=pl.Series(score_events(config, model, longer, rows)))
    best = scored.sort("user", "score", "item", descending=[False, True, False]).group_by("user", maintain_order=True)
    ranked = {str(user): of["item"].to_list() for (user,), of in best}

    def pages(user: str, shown: frozenset[str]) -> list[str]:
        return [item for item in ranked.get(user, []) if item not in shown][:size]

    return pages
