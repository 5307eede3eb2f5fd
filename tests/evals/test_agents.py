"""Measures of agents: the five of Agent4Rec worked out by hand, intervals over agents, gains of the same agents."""

import math

import numpy as np

from evals.agents import LIKE, MEASURES, behaviour, measure_agents
from llm_tasks.agent4rec import Simulation, SyntheticEvent


def walked(events=(), pages=None, shown=None, satisfaction=None):
    return Simulation(tuple(SyntheticEvent(*one) for one in events), satisfaction or {}, pages or {}, shown or {})


def test_the_five_measures_of_an_agent_by_hand():
    done = walked(
        [("a", "i1", 5.0, 1), ("a", "i2", LIKE, 2), ("a", "i3", 3.5, 2), ("b", "i1", 2.0, 1)],
        pages={"a": 2, "b": 1, "c": 1, "d": 0},
        shown={"a": 10, "b": 5, "c": 5, "d": 0},
        satisfaction={"a": 7.0, "b": 2.0, "c": 1.0},
    )

    found = behaviour(done, ["a", "b", "c", "d"])

    assert MEASURES == ("view_ratio", "likes", "like_ratio", "exit_page", "satisfaction")
    np.testing.assert_allclose(found[0], [3 / 10, 2, 2 / 3, 2, 7.0])
    np.testing.assert_allclose(found[1], [1 / 5, 0, 0.0, 1, 2.0])
    np.testing.assert_allclose(found[2], [0.0, 0, math.nan, 1, 1.0])  # viewed nothing: no share of it is liked
    assert np.isnan(found[3]).all()  # no answer that could be read


def test_a_mean_has_an_interval_over_agents_and_a_gain_is_that_of_the_same_agents():
    names = [f"u{number}" for number in range(40)]
    rng = np.random.default_rng(3)
    low = {name: float(value) for name, value in zip(names, rng.uniform(1, 9, 40), strict=True)}
    sizes = {"pages": dict.fromkeys(names, 1), "shown": dict.fromkeys(names, 5)}
    other = walked(**sizes, satisfaction=low)
    better = walked(**sizes, satisfaction={name: value + 1 for name, value in low.items()})

    found = measure_agents({"other": other, "better": better}, ["other"], replicates=200)

    of = found["better"]["satisfaction"]
    assert of["mean"] == np.mean([value + 1 for value in low.values()])
    assert of["low"] < of["mean"] < of["high"]
    gain = of["gains"]["other"]
    np.testing.assert_allclose([gain["mean"], gain["low"], gain["high"]], 1.0)  # paired: every agent gains one
    assert found["other"]["satisfaction"]["gains"] == {}
    assert found["better"]["like_ratio"]["mean"] is None  # nobody viewed anything


def test_a_simulation_without_agents_has_no_figures():
    found = measure_agents({"none": walked()})["none"]

    assert {of["mean"] for of in found.values()} == {None}
