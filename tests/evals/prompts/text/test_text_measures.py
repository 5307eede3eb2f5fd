"""Measures of texts, by cases that are worked out by hand."""

from datetime import UTC, datetime

import pytest

from evals.prompts.text.background import Background, Past
from evals.prompts.text.measure import measure_text
from evals.prompts.text.titles import Titles
from evals.trial import Trial, TrialAnswer, TrialRow

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def answer(raw, fields=None, error=None, finish=None, text=None):
    said = raw if text is None and error is None else text
    return TrialAnswer("k", raw, said, fields if fields is not None else said, error, finish, 10, 5)


def trial(entity="item", **versions):
    """A trial: version -> its answers, each a text or a `TrialAnswer`; rows a, b, ..."""
    number = len(next(iter(versions.values())))
    rows = tuple(TrialRow(f"r{n}", "abcdef"[n], NOW, "all", {"input": f"Film {n} (1990) drama"}) for n in range(number))
    answers = {
        name: tuple(one if isinstance(one, TrialAnswer) else answer(one) for one in said)
        for name, said in versions.items()
    }
    return Trial("t", entity, tuple(answers), rows, answers)


def measured(made, background=None):
    return {one.name: one for one in measure_text(made, background or Background())}


def test_what_could_not_be_read_was_cut_off_or_refused_is_counted_among_the_answers_that_came():
    excuse = "I'm sorry, but as an AI language model I cannot."
    broken = answer("{no", error="parse: no JSON")
    refused = answer(None, error="refused: the server will not")
    made = measured(trial(v1=["good", broken, refused, excuse], v2=["a", answer("cut", finish="length"), "b", "c"]))

    assert made["parse_failures"].by_row["v1"] == [0, 1, None, 0]  # of 3 answers one
    assert made["parse_failures"].figures["v1"].mean == pytest.approx(1 / 3)
    assert made["refusals"].by_row["v1"] == [0, 0, 1, 1]
    assert made["cut_offs"].by_row["v2"] == [0, 1, 0, 0]
    # The difference is over the rows that both have: (0 - 0, 1 - 0, 0 - 0) / 3.
    assert made["parse_failures"].against["v1"]["v2"].mean == pytest.approx(1 / 3)


def test_length_is_that_of_the_text_that_is_encoded():
    made = measured(trial(v1=["One, two three.", answer('{"mood": "warm"}', text="mood: warm.")]))

    assert made["words"].by_row["v1"] == [3, 2]


def test_coverage_counts_filled_fields_of_objects_and_used_words_of_texts_and_compares_like_with_like():
    fields = {"director": "Jane", "cast": [], "mood": ""}
    made = measured(
        trial(v1=["A moody film of director Jane"], v2=[answer("{}", fields, text="director: Jane.")], v3=["Nothing"]),
        Background(
            asked={"v1": ("director", "mood and tone", "cast"), "v2": ("director", "cast", "mood"), "v3": ("cast",)},
            objects=frozenset({"v2"}),
        ),
    )["coverage"]

    assert (made.by_row["v1"], made.by_row["v2"], made.by_row["v3"]) == ([2 / 3], [1 / 3], [0])
    assert made.against["v1"]["v3"].mean == pytest.approx(2 / 3)
    assert made.against["v1"]["v2"].mean is None
    assert "not counted alike" in made.against["v1"]["v2"].why


def test_specificity_counts_distinct_pairs_of_the_sample_and_what_texts_share():
    made = measured(trial(v1=["a b c d e", "a b c d x"], v2=["p q r s", "t u v w"]))

    # v1: pairs ab bc cd de, ab bc cd dx: 5 of 8 are distinct; of the two sequences of four of each text, one is shared.
    assert made["distinct_2"].figures["v1"].mean == 5 / 8
    assert made["distinct_2"].figures["v2"].mean == 1
    assert made["shared_text"].by_row == {"v1": [0.5, 0.5], "v2": [0, 0]}


def test_redundancy_counts_shown_pairs_and_novelty_words_that_the_facts_lack():
    made = measured(
        trial(v1=["Film 0 (1990) is moving drama"], v2=["Tender and moving"]),
        Background(facts={"a": "Film 0 drama"}),
    )

    # film-0, 0-1990, 1990-is, is-moving, moving-drama: the first two were shown.
    assert made["redundancy"].by_row["v1"] == [2 / 5]
    # Content words film, 1990, moving, drama; the facts lack 1990 and moving.
    assert made["novelty"].by_row == {"v1": [0.5], "v2": [1.0]}
    assert "novelty" not in measured(trial(v1=["x"]))


def test_named_titles_are_in_the_history_or_from_the_future():
    titles = Titles(
        {
            "1": ["Heat (1995)"],
            "2": ["Run Lola Run (Lola rennt) (1998)"],
            "3": ["Fargo (1996)"],
            "4": ["The Dark Knight (2008)"],
            "5": ["The Dark City (1998)"],
        }
    )
    pasts = {
        "r0": Past(frozenset({"1", "2"}), frozenset({"4"})),
        "r1": Past(frozenset({"3"}), frozenset({"4"})),
    }
    made = measured(
        trial(
            "user", v1=["Loves Heat and Run Lola Run, not The Dark City.", "Will love The Dark Knight; the Heat is on."]
        ),
        Background(titles=titles, pasts=pasts),
    )

    # Row 0 names Heat and Lola, which it met, and The Dark City, which it did not; row 1 one title of its future, and
    # a word that is no title there, for Heat is not in its history.
    assert made["grounded"].by_row["v1"] == [2 / 3, 0]
    assert made["from_the_future"].by_row["v1"] == [0, 1]


def test_a_text_that_names_nothing_is_neither_grounded_nor_not():
    past = {"r0": Past(frozenset({"1"}), frozenset())}
    made = measured(trial("user", v1=["Warm."]), Background(titles=Titles({"1": ["Heat"]}), pasts=past))

    assert (made["grounded"].by_row["v1"], made["from_the_future"].by_row["v1"]) == ([None], [0])


def test_a_series_and_a_rating_after_a_title_are_no_titles_of_their_own():
    titles = Titles(
        {
            "1": ["Star Trek (2009)"],
            "2": ["Star Trek: Generations (1994)"],
            "3": ["The Jungle Book (1967)"],
            "4": ["The Jungle Book 2 (2003)"],
        }
    )
    text = "Star Trek films get 1, and The Jungle Book 2."

    assert titles.named(text, frozenset({"2", "3"})) == [{"1", "2"}, {"3"}]
    assert titles.named(text) == [{"1"}, {"4"}]
