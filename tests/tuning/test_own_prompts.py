"""A team's own prompts are those that a recipe teaches with, and its words those that are measured."""

import polars as pl
import pytest

from prompts.domain import load_domain
from prompts.library import FOLDER, Library
from prompts.notes import Guides, Labels, compression, note_text
from tuning.config import ContrastiveConfig, RewriteConfig, TuningConfig
from tuning.inputs import RecipeInputs

FILMS = load_domain("films")
OWN = "Unser Text"
FILES = {
    "recgen": "llm_cf",
    "query_to_rewrite": "beque",
    "query_thought": "beque",
    "query_quality": "beque",
    "title_prediction": "beque",
    "note_embedding": "notellm",
    "note_category": "notellm",
    "note_hashtags": "notellm",
}


@pytest.fixture
def team(make_shop):
    """A shop with a version 2 of every prompt that recipes use, which begins differently; recgen has other answers."""
    shop = make_shop(items=97, users=20, events=10)
    own = shop.folder / "prompts"
    own.mkdir()
    for name, folder in FILES.items():
        text = (FOLDER / folder / f"{name}.v1.md").read_text(encoding="utf-8").replace("version: 1", "version: 2")
        text = text.replace('["yes", "no"]', '["ja", "nein"]').replace("# user\n", f"# user\n{OWN}. ")
        (own / f"{name}.v2.md").write_text(text, encoding="utf-8")
    return shop


@pytest.fixture
def library(team):
    return Library((), team.folder / "prompts")


def inputs_of(team, recipe, *sources):
    from app.config import load_config
    from app.tuning import readers

    return RecipeInputs(recipe, sources, readers(load_config(team.config)))


def test_recommendation_rows_and_their_measure_use_the_team_s_own_words(team, base):
    from tuning.measure import both_answers

    mixture = inputs_of(team, "sft", "events").mixture(TuningConfig(held_out=12), None)

    assert {said[-1]["content"] for said in mixture.conversations} == {"ja", "nein"}
    assert all(said[0]["content"].startswith(OWN) for said in (*mixture.conversations, *mixture.held_out))
    assert mixture.facts["recommendation"]["prompt"] == "recgen.v2"
    pairs, liked = both_answers(base, mixture.held_out, mixture.words, 1_024)
    assert liked == [said[-1]["content"] == "ja" for said in mixture.held_out]
    assert 0 < sum(liked) < len(liked) == len(pairs)


def test_rewrites_are_taught_and_ranked_with_the_team_s_own_prompts(library, base):
    from tuning.instructions import rewrite_mixture
    from tuning.ranking import rank_queries

    rows = [(f"q{n}", f"q{n}", "A thought.", f"q{n} {place}", place) for n in range(8) for place in range(4)]
    judged = pl.DataFrame(rows, ["query", "shown", "thought", "rewrite", "place"], orient="row")
    kept, found = (judged["place"] < 2).rename("kept"), pl.DataFrame({"shown": ["q1", "q2"], "title": ["a", "b"]})

    mixture = rewrite_mixture(judged, kept, found, FILMS, RewriteConfig(), library)
    reward = judged["place"].cast(pl.Float64) / 3
    (own, *_), _ = rank_queries(judged, reward, base, FILMS, RewriteConfig(), library)
    (shipped, *_), _ = rank_queries(judged, reward, base, FILMS, RewriteConfig())

    assert {facts["prompt"] for facts in mixture.facts.values()} == {
        f"{name}.v2" for name in ("query_to_rewrite", "query_thought", "query_quality", "title_prediction")
    }
    assert all(said[0]["content"].startswith(OWN) for said in mixture.conversations)
    assert own.answers[0].prompt > shipped.answers[0].prompt  # the words that the team put before


def test_an_encoder_of_notes_is_tuned_with_the_team_s_own_prompts(library, tiny):
    from base.progress import silent
    from tuning.contrastive import encoder_job

    texts = {f"f{n}": note_text(f"Film {n}") for n in range(6)}
    pairs = pl.DataFrame({"source": ["f0", "f1"], "target": ["f1", "f2"], "score": [1.0, 1.0]})
    config = ContrastiveConfig(method="full", validation=0.0)

    own, shipped = (
        encoder_job(tiny, texts, pairs, config, silent, domain=FILMS, **more) for more in ({"library": library}, {})
    )

    assert own.plan["wrapping"]["before"] == f"{OWN}. {shipped.plan['wrapping']['before']}"
    assert compression(FILMS, library).before.startswith(OWN)
    guides = Guides(FILMS, "genre", 0.4, library)
    labels = Labels("Crime", ("Crime", "Heist"))
    assert guides.category(labels).guidance.startswith(OWN)
    assert guides.all_hashtags(labels).guidance.startswith(OWN)
    assert not Guides(FILMS, "genre").category(labels).guidance.startswith(OWN)
