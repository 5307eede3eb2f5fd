"""agent4rec on MovieLens small, from scripted answers: agents on pages of a kept model, by popularity and at random.

Run:   .venv/bin/python benchmarks/keep.py agent4rec
There is no language model here: the rule in benchmarks/agent4rec_engine plays the agents, so the figures show that
simulations run and are judged with controls, not the value of Agent4Rec. An agent's tastes are the genres that its user
liked more, and less, than other users did in the last tenth of the user's events, which no model and no page uses.
With `shuffled profiles` every agent has the profile of another one. The last line printed is one JSON object.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from app.config import Config, load_config
from app.kept_models import open_model
from app.simulation import names_of, pages_of, popular_items, ranked_items
from app.workplace import open_workplace
from evals.agents import measure_agents
from llm_tasks.agent4rec import Simulation, agent4rec, rating_distance, simulate, traits
from llm_tasks.pipeline.ask import Asker
from llm_tasks.pipeline.workplace import Workplace

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "movielens"
ARM, AGENTS, PAGE_SIZE, MOST = "base", 200, 5, 3
HELD_OUT = 0.1
"""Share of each user's events, the newest ones, used only for an agent's tastes."""
LIKED, TASTES = 4.0, 3
"""Minimum rating of a liked event; maximum number of genres that an agent likes, and dislikes."""


def main() -> None:
    """Train in a separate home, let agents browse pages, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        config, held_out = configure(Path(folder))
        run("refresh", "--config", str(config), "--task", "item_facts", "--json")
        run("train", "--config", str(config), "--arms", ARM, "--json")
        print(json.dumps(measured(load_config(config), held_out)))


def configure(folder: Path) -> tuple[Path, pl.DataFrame]:
    """Write a knowflow.yaml and the events that are not held out; return its path, and the held-out events."""
    settings = yaml.safe_load((EXAMPLE / "knowflow.yaml").read_text(encoding="utf-8"))
    settings["items"] |= {"path": str(EXAMPLE / settings["items"]["path"])}
    events = pl.read_parquet(EXAMPLE / settings["events"]["path"]).sort("timestamp", "item_id")
    newest = pl.col("timestamp").cum_count().over("user_id") > (1 - HELD_OUT) * pl.len().over("user_id")
    events.filter(~newest).write_parquet(folder / "events.parquet")
    items = pl.read_parquet(settings["items"]["path"])
    settings |= {
        "home": "home",
        "events": settings["events"] | {"path": "events.parquet"},
        "plugins": [str(ROOT / "benchmarks" / "agent4rec_engine")],
        "engine": {"name": "scripted_agents", "model": "scripted", "revision": "1", "options": {"genres": "g.json"}},
        "tasks": {"item_facts": {}},
        "encoders": {"lexical": {"kind": "lexical", "dimension": 16}},
        "train": {"seeds": [0], "search": [], "rolling": []},
    }
    for unused in ("rewrites", "queries"):
        settings.pop(unused)
    (folder / "g.json").write_text("{}", encoding="utf-8")
    file = folder / "knowflow.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    named = names_of(open_workplace(load_config(file)))
    genres = {named[str(item)]: of for item, of in items.select("item_id", "genres").iter_rows()}
    (folder / "g.json").write_text(json.dumps(genres), encoding="utf-8")
    return file, events.filter(newest).join(items, on="item_id").with_columns(pl.col("user_id").cast(pl.String))


def run(*arguments: str) -> None:
    """Run a command; exit with its exit code if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)


def measured(config: Config, held_out: pl.DataFrame) -> dict[str, Any]:
    """Let the same agents browse the pages of every recommender; return figures with intervals."""
    workplace = open_workplace(config)
    training = workplace.dataset.events.filter(pl.col("part") == "train")
    tiers = traits(training, workplace.dataset.items, workplace.dataset.category_fields)
    tastes = tastes_of(held_out)
    counts = training.group_by("user").len().sort("len", "user", descending=[True, False])["user"]
    agents = [user for user in counts if user in tastes][:AGENTS]
    own = {user: {"tastes": tastes[user], **tiers[user]} for user in agents}
    others = dict(zip(agents, [own[user] for user in [*agents[1:], agents[0]]], strict=True))
    lists = ranked(config, workplace, agents)
    walks = {name: (own, of) for name, of in lists.items()}
    walks |= {f"{name}, shuffled profiles": (others, lists[name]) for name in ("kept model", "popularity")}
    done = {name: walked(workplace, profiles, of) for name, (profiles, of) in walks.items()}
    given = [one.rating for one in done["kept model"].events]
    return {
        "arm": ARM,
        "agents": len(agents),
        "pages": {"items": PAGE_SIZE, "most": MOST},
        "models": measure_agents(done, ["popularity", "random", "kept model, shuffled profiles"]),
        "rating_distance": rating_distance(given, training["rating"].to_list()),
        "lost": {name: of.lost for name, of in done.items() if of.lost},
    }


def ranked(config: Config, workplace: Workplace, agents: list[str]) -> dict[str, dict[str, list[str]]]:
    """Rank the items that each user has not had, the best first; all recommenders rank the same ones."""
    best = ranked_items(config, open_model(config, ARM), workplace.dataset, agents)
    popular, chance = popular_items(workplace.dataset), np.random.default_rng(0)
    by_popularity = {user: [item for item in popular if item in set(items)] for user, items in best.items()}
    by_chance = {user: chance.permutation(items).tolist() for user, items in by_popularity.items()}
    return {"kept model": best, "popularity": by_popularity, "random": by_chance}


def walked(
    workplace: Workplace, profiles: Mapping[str, Mapping[str, str]], items: Mapping[str, list[str]]
) -> Simulation:
    """Let agents browse pages."""
    with workplace.store.writer("a benchmark") as writer:
        asker = Asker(agent4rec, workplace, writer)
        return simulate(asker, profiles, pages_of(items, PAGE_SIZE), names_of(workplace), MOST)


def tastes_of(held_out: pl.DataFrame) -> dict[str, str]:
    """Return the tastes of users with liked events: genres with a larger, and a smaller, share of them than overall."""
    liked = held_out.filter(pl.col("rating") >= LIKED)
    overall = shares(liked["genres"])
    out = {}
    for (user,), events in liked.group_by("user_id"):
        own = shares(events["genres"])
        more = sorted(overall, key=lambda genre: (overall[genre] - own.get(genre, 0.0), genre))
        likes = [genre for genre in more[:TASTES] if own.get(genre, 0.0) > overall[genre]]
        dislikes = [genre for genre in more[::-1][:TASTES] if own.get(genre, 0.0) < overall[genre]]
        out[str(user)] = f"Likes: {', '.join(likes)}. Dislikes: {', '.join(dislikes)}."
    return out


def shares(genres: Iterable[list[str]]) -> dict[str, float]:
    """Return genre -> share of the films that have it."""
    films = [list(of) for of in genres]
    return {genre: count / len(films) for genre, count in Counter(one for of in films for one in of).items()}


if __name__ == "__main__":
    main()
