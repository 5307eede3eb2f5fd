"""Measure agents under a recommender: a value per agent, means with intervals over agents, gains over controls.

Paper:     Zhang et al. 2024, "On Generative Agents in Recommendation" (SIGIR, arXiv 2310.10108), section 3.
Measures:  view_ratio = viewed / shown; likes = viewed items rated at least `LIKE`; like_ratio = likes / viewed;
           exit_page = pages looked at; satisfaction = mean over the pages, from 1 to 10.
Intervals: resample agents (`evals/by_user.py`); a gain is the interval of the difference over the same agents.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evals.by_user import REPLICATES, Parts, intervals
from llm_tasks.agent4rec import Simulation

LIKE = 4.0
"""Minimum rating, on the prompts' scale of 0.5 to 5, of a liked item."""
MEASURES = ("view_ratio", "likes", "like_ratio", "exit_page", "satisfaction")


def behaviour(done: Simulation, agents: Sequence[str]) -> np.ndarray:
    """Measure every agent.

    Args:
        done: The agents' simulation.
        agents: [A] agents, in the order of the rows.

    Returns:
        [A, measures], NaN if an agent has no value: it gave no valid answer, or viewed nothing.
    """
    viewed, liked = dict.fromkeys(agents, 0), dict.fromkeys(agents, 0)
    for event in done.events:
        viewed[event.agent] += 1
        liked[event.agent] += event.rating >= LIKE
    return np.array([_of_agent(done, agent, viewed[agent], liked[agent]) for agent in agents]).reshape(
        -1, len(MEASURES)
    )


def _of_agent(done: Simulation, agent: str, viewed: int, liked: int) -> list[float]:
    if not done.pages.get(agent):
        return [np.nan] * len(MEASURES)
    ratio = liked / viewed if viewed else np.nan
    return [viewed / done.shown[agent], liked, ratio, done.pages[agent], done.satisfaction[agent]]


def measure_agents(
    simulations: Mapping[str, Simulation], controls: Sequence[str] = (), replicates: int = REPLICATES
) -> dict[str, Any]:
    """Measure the same agents under several recommenders.

    Args:
        simulations: Recommender -> simulation with its pages.
        controls: Recommenders to compare every other one with.
        replicates: Resamples of the agents.

    Returns:
        Plain JSON: recommender -> measure -> the result of `by_user.intervals`, and `gains`: control -> the same for
        the difference.
    """
    agents = sorted({agent for done in simulations.values() for agent in done.pages})
    parts = Parts(np.arange(len(agents)), np.arange(len(agents)), np.ones(len(agents)))
    draws = parts.draws(replicates)
    values = {name: behaviour(done, agents) for name, done in simulations.items()}
    out: dict[str, Any] = {}
    for name, of in values.items():
        gains = {one: intervals(of - values[one], parts, draws) for one in controls if one != name and one in values}
        own = intervals(of, parts, draws)
        out[name] = {
            measure: {**own[at], "gains": {one: gain[at] for one, gain in gains.items()}}
            for at, measure in enumerate(MEASURES)
        }
    return out
