"""Tuning encoders of notes: the steps' gradients, resuming, what is written, and that it learns."""

import json
import random

import numpy as np
import polars as pl
import pytest
import torch
from note_shop import CONFIG, FILMS, SEEN, farthest, gradients_of, shop, trainer_of

from base.faults import WrongUse
from base.progress import silent
from engines.model_folder import fingerprint
from prompts.notes import Guides, Labels, compression, note_text
from tuning.contrastive import tune_encoder
from tuning.losses import contrastive_loss, joint_loss
from tuning.note_batches import collate_notes, note_row
from tuning.note_model import load_note_model
from tuning.note_pairs import share_of
from tuning.packing import NOT_LEARNT


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A tiny sentence encoder: a BERT of random numbers, mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tiny_model import VOCABULARY, make_tokenizer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=VOCABULARY, max_position_embeddings=128, **sizes)).save_pretrained(folder / "core")
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder / "core")
    parts = [Transformer(str(folder / "core"), max_seq_length=64), Pooling(32, pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save(str(folder / "tiny"), create_model_card=False)
    return folder / "tiny"


@pytest.mark.parametrize("debias", [0.0, 1.0])
def test_a_step_in_pieces_has_the_gradient_of_the_whole_batch_in_one_forward(tiny, debias):
    config = CONFIG.model_copy(update={"debias": debias})
    trainer, model, prompts, batches, draw = trainer_of(tiny, config)

    losses = trainer.gradients(3)
    in_pieces = gradients_of(model)
    together = trainer_of(tiny, config.model_copy(update={"notes_at_once": 99}))
    together[0].gradients(3)
    model.zero_grad()
    step = batches.step(3)
    rows = [note_row(model.tokenizer, prompts[n], out) for n, out in zip(step.notes, draw(3, step.notes), strict=True)]
    vectors, generated = model(collate_notes(rows, model.pad))
    at = torch.tensor(step.places)
    share = batches.log_share(len(prompts))[torch.tensor(step.notes)][at] * debias if debias else None
    one = contrastive_loss(vectors[at], at, model.tau, batches.known(step.notes)[at][:, at], share)
    other = generated / sum(row.learnt for row in rows)
    joint_loss(one, other, config.alpha).backward()
    one, other = one.detach(), other.detach()
    plain = gradients_of(model)

    assert losses.contrastive == pytest.approx(float(one), rel=1e-5)
    assert losses.generative == pytest.approx(float(other), rel=1e-5)
    assert losses.joint == pytest.approx((float(one) + 0.1 * float(other)) / 1.1, rel=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in plain.values())
    assert farthest(in_pieces, plain) < 1e-5 * largest
    assert farthest(gradients_of(together[1]), plain) < 1e-5 * largest


def test_without_a_weight_the_generated_text_counts_for_nothing(tiny):
    with_outputs, model, *_ = trainer_of(tiny, CONFIG.model_copy(update={"alpha": 0.0}))
    without, other, *_ = trainer_of(tiny, CONFIG, generates=False)

    losses = with_outputs.gradients(0), without.gradients(0)

    assert losses[0].joint == losses[0].contrastive == pytest.approx(losses[1].joint, rel=1e-6)
    largest = max(float(gradient.abs().max()) for gradient in gradients_of(other).values())
    assert farthest(gradients_of(model), gradients_of(other)) < 1e-5 * largest


def test_gradients_reach_the_temperature_the_projection_the_transformer_and_the_head(tiny):
    trainer, model, *_ = trainer_of(tiny, CONFIG)

    trainer.gradients(0)

    found = gradients_of(model)
    assert {"tau", "projection.weight", "head.weight", "core.layers.0.self_attn.q_proj.weight"} <= found.keys()
    assert all(bool(gradient.any()) for gradient in found.values())


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_token_after_the_pooled_one_begins_the_mark_for_every_length_and_side(tiny, side):
    model = load_note_model(tiny, compression(FILMS), CONFIG)
    mark = model.tokenizer.encode("[EMB]", add_special_tokens=False)
    chance, guides = random.Random(0), Guides(FILMS, "genre")
    notes = [note_text("Film", "word " * length) for length in (0, 1, 7, 30, 200)]
    outputs = [guides.draw(Labels("Crime", ("Crime", "Noir")), note, chance) for note in notes]
    rows = [note_row(model.tokenizer, model.prompt(note), out) for note, out in zip(notes, outputs, strict=True)]

    batch = collate_notes(rows, model.pad, side)
    alone = [
        model(collate_notes([note_row(model.tokenizer, model.prompt(note), None)], model.pad))[0] for note in notes
    ]

    for number, place in enumerate(batch["places"].tolist()):
        assert batch["input_ids"][number, place + 1 : place + 1 + len(mark)].tolist() == mark
        assert model.tokenizer.decode(batch["input_ids"][number, : place + 1]).endswith('The compression word is:"')
    # What follows the word, and how the row is filled up, change nothing.
    torch.testing.assert_close(model(batch)[0], torch.cat(alone), atol=2e-5, rtol=1e-4)


def test_only_the_output_and_its_end_are_learnt(tiny):
    model = load_note_model(tiny, compression(FILMS), CONFIG)
    note = note_text("Heat", "A thief")
    output = Guides(FILMS, "genre").category(Labels("Crime", ()))

    batch = collate_notes([note_row(model.tokenizer, model.prompt(note), out) for out in (output, None)], model.pad)

    learnt = batch["labels"][0][batch["labels"][0] != NOT_LEARNT].tolist()
    assert learnt == [*model.tokenizer.encode(" Crime", add_special_tokens=False), model.tokenizer.eos_token_id]
    assert batch["labels"][0, -len(learnt) :].tolist() == learnt
    assert (batch["labels"][1] == NOT_LEARNT).all()
    assert (batch["labels"][0] == NOT_LEARNT).sum() == batch["labels"].shape[1] - len(learnt)


class Broken(Exception):
    """What ends a tuning in the middle."""


def broken_after(steps):
    def progress(what, done, total):
        if what == "tuning steps" and done == steps:
            raise Broken

    return progress


@pytest.mark.parametrize("method", ["projection", "lora", "full"])
def test_a_tuning_that_was_broken_off_ends_with_the_files_of_an_undisturbed_one(tiny, tmp_path, method):
    texts, pairs, labels = shop()
    sizes = {"rank": 2, "epochs": 1, "batch_pairs": 7, "notes_at_once": 16, "written": 1}
    config = CONFIG.model_copy(update={"method": method, **sizes})
    further = {"labels": labels, "domain": FILMS, "field": "genre", "seen_until": SEEN, "held_out": ["f03", "f10"]}
    told = []

    tune_encoder(tiny, texts, pairs, config, tmp_path / "whole", silent, **further)
    with pytest.raises(Broken):
        tune_encoder(tiny, texts, pairs, config, tmp_path / "broken", broken_after(5), **further)
    with pytest.raises(WrongUse, match="holds a tuning that was not finished\n  add --resume"):
        tune_encoder(tiny, texts, pairs, config, tmp_path / "broken", silent, **further)
    tune_encoder(
        tiny, texts, pairs, config, tmp_path / "broken", lambda *step: told.append(step), resume=True, **further
    )

    assert next(done for what, done, _ in told if what == "tuning steps") == 5  # 1 to 4 are not done again
    assert fingerprint(tmp_path / "whole") == fingerprint(tmp_path / "broken")
    said = [json.loads((tmp_path / name / "knowflow_tuning.json").read_text()) for name in ("whole", "broken")]
    assert said[0] == said[1]  # what it wrote before the tuning too
    assert (said[0]["figures"]["written"] is None) == (method == "projection")
    assert not (tmp_path / "broken" / ".tuning").exists()


def test_the_folder_says_what_was_seen_and_holds_no_path_of_this_machine(encoder, tmp_path):
    texts, pairs, _ = shop()
    held = share_of(texts, 0.3, "held out")
    config = CONFIG.model_copy(update={"validation": 0.2, "epochs": 8})

    result = tune_encoder(encoder, texts, pairs, config, tmp_path / "out", silent, seen_until=SEEN, held_out=held)

    said = json.loads((tmp_path / "out" / "knowflow_tuning.json").read_text())
    train = sorted(set(texts) - set(held))
    touching = pairs.filter(pl.col("source").is_in(held) | pl.col("target").is_in(held))
    assert said == json.loads(json.dumps(result))
    assert (said["kind"], said["seen_until"]) == ("notellm", "2024-05-01T00:00:00+00:00")
    assert (said["train_items"], said["held_out_items"], said["wrapping"]) == (train, held, None)
    assert len(held) > 3
    assert said["data"]["left_out"] == len(touching) > 0
    assert said["data"]["pairs"] + said["figures"]["validation"]["pairs"] <= len(pairs) - len(touching)
    assert said["figures"]["loss"]["last"]["joint"] < said["figures"]["loss"]["first"]["joint"]
    assert not any(str(tmp_path) in file.read_text() for file in (tmp_path / "out").rglob("*.json"))
    assert str(encoder.parent) not in "".join(file.read_text() for file in (tmp_path / "out").rglob("*.json"))


@pytest.mark.parametrize("method", ["projection", "lora", "full"])
def test_notes_that_belong_together_come_together_with_a_sentence_encoder(encoder, tmp_path, method):
    from sentence_transformers import SentenceTransformer

    texts, pairs, _ = shop()
    config = CONFIG.model_copy(update={"method": method, "epochs": 20, "learning_rate": 1e-2, "batch_pairs": 16})

    tune_encoder(encoder, texts, pairs, config, tmp_path / "out", silent)

    items = sorted(texts)
    same = np.equal.outer([int(item[1:]) % 3 for item in items], [int(item[1:]) % 3 for item in items])
    apart = {}
    for name, folder in (("before", encoder), ("after", tmp_path / "out")):
        vectors = SentenceTransformer(str(folder), device="cpu").encode([texts[item] for item in items])
        near = vectors @ vectors.T
        apart[name] = near[same].mean() - near[~same].mean()
    assert apart["after"] > apart["before"] + 0.2


def test_what_cannot_be_tuned_is_told(tiny, encoder, tmp_path):
    texts, out = shop()[0], tmp_path / "out"

    with pytest.raises(WrongUse, match="no pair to learn from: 1 pairs, 0 of them between training items"):
        tune_encoder(encoder, texts, pl.DataFrame({"source": ["x"], "target": ["y"]}), CONFIG, out, silent)
    with pytest.raises(WrongUse, match="--frozen-layers: 2 of 2 layers"):
        load_note_model(encoder, None, CONFIG.model_copy(update={"frozen_layers": 2}))
    with pytest.raises(WrongUse, match=r"has no modules\.json"):
        load_note_model(tiny, None, CONFIG)
    assert not out.exists()


def test_frozen_layers_stay_and_the_others_move(encoder):
    trainer, model, *_ = trainer_of(encoder, CONFIG.model_copy(update={"frozen_layers": 1}))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    trainer.step(0)

    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert "core.encoder.layer.1.output.dense.weight" in moved
    assert not any(name.startswith(("core.embeddings", "core.encoder.layer.0")) for name in moved)
