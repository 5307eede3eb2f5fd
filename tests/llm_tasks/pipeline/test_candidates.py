"""The choice among candidates: marks worked out by hand, and the candidate a reader would choose."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from llm_tasks.pipeline.candidates import best_candidate, candidate_scores, coherence, last_sentence, points_of
from prompts.domain import load_domain
from prompts.library import choose_prompt

RECORDED = Path(__file__).resolve().parents[3] / "examples" / "movielens" / "recorded" / "cot.parquet"
PLANE = {
    # a made encoder: every text is a place on a plane
    "one. Good.": (1.0, 0.0),
    "two. Bad.": (0.0, 2.0),
    "Good.": (1.0, 0.0),
    "Bad.": (-1.0, 0.0),
    "first point": (3.0, 4.0),
    "second point": (0.0, 1.0),
    "what is shown": (4.0, 3.0),
    "likes": (5.0, 0.0),
}


def encode(texts: list[str]) -> np.ndarray:
    return np.array([PLANE[text] for text in texts])


def test_the_score_is_the_mean_of_four_marks_worked_out_by_hand():
    scores = candidate_scores(
        ["one. Good.", "two. Bad."], ["first point", "second point"], "what is shown", "likes", encode
    )

    # one: coherence 1 (two words, nothing twice); points (0.6 + 0) / 2; shown 0.8; decision 1
    # two: coherence 1; points (0.8 + 1) / 2; shown 0.6; decision max(-1, 0) = 0
    assert scores == pytest.approx([(1 + 0.3 + 0.8 + 1) / 4, (1 + 0.9 + 0.6 + 0) / 4])
    assert best_candidate(
        ["two. Bad.", "one. Good."], ["first point", "second point"], "what is shown", "likes", encode
    )


def test_of_equally_good_candidates_the_first_is_kept():
    assert best_candidate(["one. Good."] * 3, ["first point"], "what is shown", "likes", encode) == 0


def test_a_prompt_without_points_gives_no_mark_for_them():
    (score,) = candidate_scores(["one. Good."], [], "what is shown", "likes", encode)

    assert score == pytest.approx((1 + 0 + 0.8 + 1) / 4)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("a b c d e", 1.0),
        ("a b c a b c a b c", 3 / 7),  # abc bca cab abc bca cab abc: three different ones among seven
        ("A b, c! a B c", 3 / 4),  # abc bca cab abc; case and marks do not count
        ("a b", 1.0),  # too short to repeat anything
        ("", 0.0),
        ("...", 0.0),
    ],
)
def test_coherence_is_the_share_of_runs_of_three_words_that_are_new(text, mark):
    assert coherence(text) == pytest.approx(mark)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("He likes it.", "He likes it."),
        ("Old films. Really? Conclusion: likes. ", "Conclusion: likes."),
        ("No stop at all", "No stop at all"),
        ("Rated 4.5 by him. So: likes", "So: likes"),
        ("", ""),
    ],
)
def test_the_last_sentence_is_what_stands_behind_the_last_full_stop(text, end):
    assert last_sentence(text) == end


def test_the_four_points_of_the_prompt_are_found_in_it():
    shown = {"history": "Heat (1995): 4; Fargo (1996): 5", "target": "Ran (1985) [Drama, War]", "decision": "likes"}
    prompt = choose_prompt("cot_examples", 1).render(shown, load_domain("films"))[-1]["content"]

    assert points_of(prompt.splitlines()[0]) == (
        "profile of the user",
        "the target movie and movies related to it",
        "the match between them",
        "the user's wish for diversity",
    )


@pytest.fixture(scope="module")
def minilm():
    from sentence_transformers import SentenceTransformer

    from engines.model_folder import minilm_folder

    model = SentenceTransformer(str(minilm_folder()), device="cpu")
    return lambda texts: np.asarray(model.encode(texts))


def test_the_last_sentences_of_recorded_reasonings_are_like_their_decisions(minilm):
    """In most cases, so that the mark says something: nearer to the true decision than to the other one."""
    recorded = pl.read_parquet(RECORDED, columns=["decision", "answer"])
    domain = load_domain("films")

    vectors = minilm([*map(last_sentence, recorded["answer"]), *domain.decisions])

    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearer = (vectors[:-2] @ vectors[-2:].T).argmax(axis=1)
    right = nearer == (recorded["decision"] == domain.decisions[1]).to_numpy()
    assert right.mean() == pytest.approx(0.84, abs=0.02)


def test_a_real_encoder_prefers_what_a_reader_would(minilm):
    shown = "Heat (1995): 5; The Godfather (1972): 5; Toy Story (1995): 2. Target: Goodfellas (1990) [Crime, Drama]"
    good = (
        "The user values crime dramas such as Heat and The Godfather and rates family animation low. Goodfellas is a "
        "crime drama about the mob, close to The Godfather. The match with the profile is strong, and little diversity "
        "is asked for. The user likes it."
    )
    texts = [
        "Cooking pasta takes ten minutes in salted water. Rinse the pan afterwards. The weather will be fine.",
        good,
        "The user likes it. The user likes it. The user likes it. The user likes it. The user likes it.",
    ]
    points = ["profile of the user", "the target movie and related movies", "the match", "the wish for diversity"]

    assert best_candidate(texts, points, shown, "likes", minilm) == 1
