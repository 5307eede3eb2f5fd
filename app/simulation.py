"""Simulates agents of a release against a kept model, and writes what they did to separate files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from app.config import Config
from app.kept_models import open_model, score_events
from app.workplace import open_store, open_workplace
from base.faults import WrongUse
from base.progress import Progress, silent
from ctr.kept import Kept
from engines.protocol import SecretReader
from evals.agents import measure_agents
from feature_store.database import command_line
from feature_store.lineage import newest_texts
from feature_store.releases import get_release, released_lineage
from llm_tasks.agent4rec import Pages, Simulation, agent4rec, rating_distance, simulate, traits
from llm_tasks.pipeline.ask import Asker
from llm_tasks.pipeline.generate import Spending
from llm_tasks.pipeline.workplace import Workplace
from sources.tables import Dataset

CANDIDATES = 200
"""Number of items that pages are chosen from: those with the most training events."""
FOLDER = "simulations"
"""Folder of what agents did, in the home folder."""


def simulate_agents(
    config: Config,
    arm: str,
    run: str | None = None,
    page_size: int = 5,
    most: int = 3,
    spending: Spending | None = None,
    progress: Progress = silent,
    secret: SecretReader | None = None,
) -> dict[str, Any]:
    """Let the agents of the current release browse pages that a kept model ranks.

    The events go to `simulations/ARM.parquet` in the home, what this gives to `ARM.json` beside it; nothing is added to
    the log, and no reader of the log reads there.

    Args:
        config: The config.
        arm: The arm whose kept model ranks.
        run: Name of the training run; None for the newest finished one.
        page_size: Items per page.
        most: Maximum number of pages.
        spending: Prices, the budget of all rounds, and who watches.
        progress: Called with the progress of a round.
        secret: Reads a stored secret, such as the key of a model server.

    Returns:
        Plain JSON: what was simulated, the measures of `evals.agents`, and `file`.

    Raises:
        WrongUse: The release holds no agents.
        WrongUse: There is no such run.
        WrongUse: It kept no model of this arm.
    """
    model = open_model(config, arm, run)
    workplace = open_workplace(config, secret)
    profiles, names = profiles_of(workplace), names_of(workplace)
    pages = pages_of(ranked_items(config, model, workplace.dataset, list(profiles)), page_size)
    with workplace.store.writer(command_line()) as writer:
        asker = Asker(agent4rec, workplace, writer, spending or Spending(config.prices), progress)
        done = simulate(asker, profiles, pages, names, most)
    identity = workplace.identity_of(agent4rec)
    about = {
        "arm": arm,
        "model": str(model.folder),
        "release": get_release(open_store(config)).name,
        "answered_by": {"model": identity.model, "revision": identity.revision},
        "page_size": page_size,
        "most": most,
    }
    return keep(config.home_folder / FOLDER / f"{arm}.parquet", done, {**about, **told(done, workplace.dataset)})


def profiles_of(workplace: Workplace) -> dict[str, dict[str, str]]:
    """Profiles of the agents of the current release: agent -> its tastes and traits, in words.

    Raises:
        WrongUse: The release holds no agents.
    """
    store, dataset = workplace.store, workplace.dataset
    tastes = newest_texts(released_lineage(store, get_release(store), [agent4rec.name], ["entity", "as_of", "text"]))
    tiers = traits(dataset.events.filter(pl.col("part") == "train"), dataset.items, dataset.category_fields)
    profiles = {user: {"tastes": text, **tiers[user]} for user, text in tastes.items() if user in tiers}
    if not profiles:
        raise WrongUse(f"there are no agents\n  make some: knowflow refresh --task {agent4rec.name}")
    return profiles


def names_of(workplace: Workplace) -> dict[str, str]:
    """Item -> what a page calls it."""
    return {item["item"]: workplace.domain.item_name(item) for item in workplace.dataset.items.iter_rows(named=True)}


def told(done: Simulation, dataset: Dataset) -> dict[str, Any]:
    """Say what a simulation came to, and how far its ratings are from those of training."""
    given = [one.rating for one in done.events]
    real = dataset.events.filter(pl.col("part") == "train")["rating"].drop_nulls().to_list()
    return {
        "agents": len(done.pages),
        "pages": sum(done.pages.values()),
        "events": len(given),
        "lost": dict(done.lost),
        "measures": measure_agents({"pages": done})["pages"],
        "rating_distance": rating_distance(given, real) if given and real else None,
    }


def keep(file: Path, done: Simulation, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the events and their facts; return the facts with the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    done.table().write_parquet(file)
    kept = {"synthetic": True, **facts, "file": str(file)}
    file.with_suffix(".json").write_text(json.dumps(kept, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return kept


def ranked_items(config: Config, model: Kept, dataset: Dataset, users: Sequence[str]) -> dict[str, list[str]]:
    """Rank the most popular items for every user with a kept model, at a moment after the whole log.

    Args:
        config: The config.
        model: The model.
        dataset: The log; nothing is added to it.
        users: Who is to be shown pages.

    Returns:
        User -> the items that it has not had, the best first.
    """
    events = dataset.events
    popular = pl.DataFrame({"item": popular_items(dataset)}, schema={"item": pl.String})
    asked = pl.DataFrame({"user": list(users)}, schema={"user": pl.String}).join(popular, how="cross")
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
    return {str(user): of["item"].to_list() for (user,), of in best}


def popular_items(dataset: Dataset) -> list[str]:
    """The items that pages are chosen from, those with the most training events first."""
    training = dataset.events.filter(pl.col("part") == "train")
    return training.group_by("item").len().sort("len", "item", descending=[True, False])["item"].to_list()[:CANDIDATES]


def pages_of(ranked: Mapping[str, Sequence[str]], size: int) -> Pages:
    """Cut ranked items into pages.

    Args:
        ranked: User -> items, the best first.
        size: Items on a page.

    Example:
        >>> pages_of({"u": ["a", "b", "c"]}, 2)("u", frozenset("a"))
        ['b', 'c']
    """

    def pages(user: str, shown: frozenset[str]) -> list[str]:
        return [item for item in ranked.get(user, []) if item not in shown][:size]

    return pages
