"""The search of an optimiser: nothing is asked twice, the budget ends it, and the best prompt so far is chosen."""

import random
from functools import partial

import pytest
from prompt_world import FIRST, HELPS, World, quality

from base.frozen import Frozen
from base.plugins import find
from tuning.optimiser import OPTIMISERS, Case, Optimiser
from tuning.search import EXPLORED, NO_ANSWER, SEEN, Search, run_search, told


def searched(run, world, seed=0, **rows):
    return run_search(
        Optimiser("toy", "a toy", Frozen, lambda search, _: run(search)), world.problem(**rows), Frozen(), seed
    )


def propose(search, text):
    """Let the reflecting side write a given text."""
    object.__setattr__(search.problem, "reflect", lambda how, variables, attempt: text)
    return search.propose("gepa_reflect", search.first, {})


def test_a_row_is_asked_once_for_each_candidate():
    world = World()

    def run(search):
        search.answer(search.first, ["all learn 1", "all learn 1", "all learn 2"])
        search.answer(search.first, ["all learn 2", "all judge 0"])
        return []

    searched(run, world, judge=3)

    assert sorted(row for _, row in world.answered) == [
        "all judge 0",
        "all judge 1",
        "all judge 2",
        "all learn 1",
        "all learn 2",
    ]


def test_what_cannot_be_used_is_counted_by_its_reason_and_tried_by_nobody():
    world, better = World(), f"```\n# user\n{HELPS[0]} {{{{ history }}}} {{{{ candidates }}}}\n```"

    def run(search):
        for text in ["no prompt", None, better, better, "```\n# user\n{{ history }}\n```"]:
            propose(search, text)
        return search.candidates

    found = searched(run, world, judge=2)

    assert found.search.rejected == {"holds no prompt": 1, NO_ANSWER: 1, SEEN: 1, "leaves out variables": 1}
    assert [(one.number, one.parent) for one in found.search.candidates] == [(0, None), (1, 0)]
    assert {parts for parts, _ in world.answered} == {one.parts for one in found.search.candidates}


def test_the_better_prompt_is_chosen_and_the_first_one_stays_if_none_is_better():
    with_harm = "```\n# user\nIgnore the history. {{ history }} {{ candidates }}\n```"
    with_help = f"```\n# user\n{HELPS[0]} {{{{ history }}}} {{{{ candidates }}}}\n```"

    def run(search, text):
        propose(search, text)
        return search.candidates

    assert searched(partial(run, text=with_harm), World()).best.number == 0
    assert searched(partial(run, text=with_help), World()).best.number == 1


def test_a_budget_that_is_spent_in_the_middle_keeps_the_best_so_far_and_says_so():
    def run(search):
        while True:  # never looks whether the search is open
            new = search.propose("gepa_reflect", search.first, {"cases": len(search.candidates)})
            if new is not None:
                search.judge(new)

    world = World(tokens=60_000)
    found = searched(run, world)

    assert found.stopped == "60,000 tokens of at most 60,000"
    assert world.used == 60_000
    # The first prompt was not judged before the budget ended, so no rewritten one is known to be better.
    assert found.best.number == 0


def test_a_part_of_the_budget_is_kept_for_the_final_comparison():
    def run(search):
        while search.open:
            search.propose("gepa_reflect", search.first, {"cases": search.rng.random()})
        assert EXPLORED <= search.problem.used() < 1
        return search.candidates

    found = searched(run, World(tokens=100_000), judge=20)

    assert found.stopped == ""
    full = [one for one in found.search.candidates if len(found.search.judged(one)) == 20]
    assert len(full) >= 3
    assert found.best in full


def test_the_score_is_the_mean_over_domains_whatever_their_numbers_of_rows():
    world = World(domains=("a", "b"), noise=0.0)
    search = Search(world.problem(), random.Random(0))
    object.__setattr__(search.problem, "judge", {"a": ("a1", "a2", "a3"), "b": ("b1",)})
    answers = {"a1": 1.0, "a2": 1.0, "a3": 1.0, "b1": 0.0}
    object.__setattr__(search.problem, "answer", lambda parts, rows: [case_of(row, answers[row]) for row in rows])

    assert search.judge(search.first) == pytest.approx(0.5)  # (1 + 0) / 2, not 3 / 4


def case_of(row, score):
    return Case(row, score, "shown", "said", "wrong")


def test_the_same_seed_takes_the_same_steps_and_another_one_takes_others():
    def run(search):
        for _ in range(5):
            search.propose("gepa_reflect", search.first, {"cases": search.draw(3)})
        return search.candidates

    first, again, other = World(), World(), World()
    searched(run, first, seed=1)
    searched(run, again, seed=1)
    searched(run, other, seed=2)

    assert first.reflected == again.reflected
    assert first.reflected != other.reflected


def test_the_same_question_to_the_reflecting_model_is_a_further_attempt():
    world = World()

    def run(search):
        for _ in range(3):
            search.reflect("po4isr_augment", search.first, {})
        return []

    searched(run, world)

    assert [attempt for _, _, attempt in world.reflected] == [0, 1, 2]


def test_rows_of_the_comparison_are_never_shown_to_the_reflecting_model():
    for optimiser in find(OPTIMISERS).values():
        world = World(tokens=60_000)
        run_search(optimiser, world.problem(), optimiser.options(), 0)
        assert world.reflected
        assert all("judge" not in str(variables) for _, variables, _ in world.reflected)
        assert any("learn" in str(variables) for _, variables, _ in world.reflected)


def test_cases_are_told_with_their_answers_and_feedback():
    assert told([case_of("r", 0.5)]) == "Input 1:\nshown\nAnswer 1: said\nFeedback 1: wrong"
    assert told([]) == "none"


def test_the_world_of_these_tests_knows_which_prompt_is_better():
    assert quality(FIRST) == pytest.approx(0.4)
    assert quality((("user", " ".join(HELPS)),)) == pytest.approx(0.8)
