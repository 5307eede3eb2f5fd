"""Item embeddings by a tuned encoder: which rows there are, who runs them, and from when on samples see their vectors."""

from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np
import polars as pl
import pytest
from logs import START, dataset
from sentence_transformers import SentenceTransformer

from app.config import load_config
from app.evidence import leak_evidence
from app.samples import open_samples
from app.workplace import chosen_tasks
from base.progress import silent
from ctr.views import history_view, knowledge_view
from encoders.dense import DenseEncoder
from engines.model_folder import minilm_folder
from feature_store.leak_check import leak_check
from feature_store.leak_made import UNSAID
from feature_store.releases import get_release, released_knowledge
from llm_tasks.note_embed import note_embed
from llm_tasks.pipeline.task import EPOCH, Inputs, TaskOptions
from prompts.domain import load_domain
from tuning.config import ContrastiveConfig
from tuning.contrastive import tune_encoder

SEEN_UNTIL = START + timedelta(minutes=2)
TEXTS = {f"i{place}": f"Thing {place}" for place in range(12)}  # the notes of the shop's items


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """An encoder that has learnt who goes from one thing to the next, from events until two minutes after START."""
    out = tmp_path_factory.mktemp("tuned") / "note"
    rows = [(f"i{place}", f"i{(place + 3) % 12}", 1.0) for place in range(12)]
    pairs = pl.DataFrame(rows, schema=["source", "target", "score"], orient="row")
    config = ContrastiveConfig(epochs=1, batch_pairs=4, validation=0.0)
    tune_encoder(minilm_folder(), TEXTS, pairs, config, out, silent, seen_until=SEEN_UNTIL)
    return out


def test_one_row_an_item_whose_text_is_its_note_and_that_knows_no_event():
    rows = list(note_embed.rows(Inputs(dataset({}), load_domain("films"), TaskOptions(), frozenset({"3", "7"}))))

    assert [(row.entity, row.variables["text"]) for row in rows] == [("3", "Film 3"), ("7", "Film 7")]
    assert {(row.as_of, row.seen_until) for row in rows} == {(EPOCH, None)}


def test_it_runs_only_where_it_is_named(make_shop):
    config = load_config(make_shop(tasks={}).config)

    unnamed = [task.name for task in chosen_tasks(config, None)]
    named = [task.name for task in chosen_tasks(config, ["note_embed"])]
    listed = chosen_tasks(load_config(make_shop(name="other", tasks={"note_embed": {}}).config), None)

    assert unnamed == ["cot_examples", "item_facts", "kar_item", "kar_user"]  # the data has no queries
    assert named == [task.name for task in listed] == ["note_embed"]


def test_vectors_of_a_tuned_encoder_reach_the_store_and_only_later_samples(make_shop, tuned):
    shop = make_shop(
        tasks={"note_embed": {"encoders": ["note"]}}, encoders={"note": {"kind": "dense", "model": str(tuned)}}
    )
    shop.release("note_embed")
    place = shop.place()
    release = get_release(place.store)

    made = release.facts["vectors"]["note_embed/note"]
    knowledge = released_knowledge(place.store, release, "note_embed", "note")
    samples = open_samples(load_config(shop.config))
    target, past = knowledge_view(knowledge, samples).rows, history_view(knowledge, samples).rows

    assert made["seen_until"] == SEEN_UNTIL.isoformat()
    reference = SentenceTransformer(str(tuned)).encode(list(TEXTS.values()), normalize_embeddings=True)
    order = [list(TEXTS).index(item) for item in knowledge.entities]
    np.testing.assert_allclose(knowledge.vectors, reference[order], atol=1e-3)  # kept in half precision
    later = samples.time > np.datetime64(SEEN_UNTIL.astimezone(UTC).replace(tzinfo=None))
    # four users with an event in each of the minutes 0 to 4: those of 3 and 4 alone are strictly later than 2
    assert later.sum() == 4 * 2
    np.testing.assert_array_equal(target >= 0, later)
    assert not (past[~later] >= 0).any()
    assert (past[later] >= 0).any()
    evidence = leak_evidence(load_config(shop.config), place)
    assert leak_check(place.store, release, evidence).leaks == 0
    # A release that forgot it would hand the vectors to all samples; the encoder's own folder still knows.
    forgetful = replace(release, facts={"vectors": {"note_embed/note": {**made, "seen_until": None}}})
    found = leak_check(place.store, forgetful, evidence)
    assert {example.question for example in found.counter_examples} == {UNSAID}


def test_the_dense_encoder_gives_a_tuned_folder_s_own_vectors_in_any_batch(tuned):
    texts = [*TEXTS.values(), "", "Naïve café — 東京", "word " * 200]
    model = SentenceTransformer(str(tuned))
    model.max_seq_length = 128

    found = DenseEncoder(str(tuned), "mean", 128, 4)
    frozen = DenseEncoder(str(minilm_folder()), "mean", 128, 4)

    reference = model.encode(texts, normalize_embeddings=True)
    assert found.encode(texts, silent) == pytest.approx(reference, abs=2e-6)
    assert np.abs(reference - frozen.encode(texts, silent)).max() > 1e-3  # the tuning has changed something
    assert (found.seen_until, frozen.seen_until) == (SEEN_UNTIL, None)
    assert found.fingerprint != frozen.fingerprint


def test_a_tuned_folder_is_not_used_with_another_pooling(tuned):
    with pytest.raises(ValueError, match="mean"):
        DenseEncoder(str(tuned), "cls", 128, 4)
