"""What a model writes about notes: greedily, until its end token, and judged by the plain measures."""

import json

import pytest
import torch
from note_shop import CONFIG, FILMS, shop

from base.progress import silent
from prompts.notes import Guides, Labels, compression
from tuning.contrastive import tune_encoder
from tuning.note_batches import NoteRow, collate_notes, note_row, question
from tuning.note_generation import Question, answer, make_questions, measure_answers, most_common, written_figures
from tuning.note_measures import measure_categories, measure_hashtags
from tuning.note_model import load_note_model
from tuning.note_pairs import share_of

GUIDES = Guides(FILMS, "genre")
TEXTS, PAIRS, LABELS = shop()
QUESTIONS = make_questions(TEXTS, TEXTS, LABELS, GUIDES, most=9, seed=0)


@torch.no_grad()
def one_by_one(model, start, longest):
    """The likeliest token after the whole text, again and again: no cache, no batch, no padding."""
    ids = list(start)
    for _ in range(longest):
        states = model.core(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state
        ids.append(int(model.head(states[0, -1]).argmax()))
        if ids[-1] == model.tokenizer.eos_token_id:
            break
    return ids[len(start) :]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_text_is_that_of_the_likeliest_token_each_time_until_the_end_token(tiny, method):
    model = load_note_model(tiny, compression(FILMS), CONFIG.model_copy(update={"method": method}))
    few = QUESTIONS[:8]
    starts = [question(model.tokenizer, model.prompt(TEXTS[asked.item]), asked.output) for asked in few]
    # A token that the first text holds becomes the end token, so that some texts end early and others go on.
    model.tokenizer.eos_token = model.tokenizer.convert_ids_to_tokens(one_by_one(model, starts[0], 4)[3])
    batch = collate_notes([NoteRow(torch.tensor(start).numpy(), len(start), 0) for start in starts], model.pad, "left")

    written = model.write(batch, 12)

    expected = [one_by_one(model, start, 12) for start in starts]
    end = model.tokenizer.eos_token_id
    assert len({len(start) for start in starts}) > 1
    assert {len(ids) for ids in expected} >= {12, len(expected[0])}
    assert len(expected[0]) <= 4
    assert written.tolist() == [ids + [end] * (written.shape[1] - len(ids)) for ids in expected]
    texts = answer(model, few, TEXTS, GUIDES, 4, silent)
    first = expected[0][:-1]
    assert texts[0] == model.tokenizer.decode(first).strip()


def test_no_text_is_longer_than_its_prompt_allows(tiny):
    model = load_note_model(tiny, compression(FILMS), CONFIG)
    told, few = [], QUESTIONS[:4]

    texts = answer(model, few, TEXTS, GUIDES, 5, lambda *step: told.append(step))

    longest = {"category": 16, "hashtags": 48}  # max_tokens of the prompt files
    for asked, text in zip(few, texts, strict=True):
        start = question(model.tokenizer, model.prompt(TEXTS[asked.item]), asked.output)
        assert text == model.tokenizer.decode(one_by_one(model, start, longest[asked.output.task])).strip()
    assert told[-1] == ("writing about notes", 4, 4)


def test_what_is_asked_is_what_the_tuning_learns_and_holds_no_answer(tiny):
    model = load_note_model(tiny, compression(FILMS), CONFIG)

    for asked in QUESTIONS:
        prompt = model.prompt(TEXTS[asked.item])
        start, row = question(model.tokenizer, prompt, asked.output), note_row(model.tokenizer, prompt, asked.output)
        assert start == row.ids[: len(row) - row.learnt].tolist()
        shown = model.tokenizer.decode(start)
        assert not any(tag in shown for tag in ("Crime", "Drama", "War", "seen"))


def test_only_what_a_note_hides_is_asked_for_and_of_few_items():
    texts = {"a": "Heat", "b": "A crime", "c": "Drama, crime", "d": "No labels", "e": "Nothing known"}
    both = Labels("Crime", ("Crime", "Drama"))
    labels = {"a": both, "b": both, "c": both, "d": Labels(None, ()), "no text": both}

    found = make_questions({*texts, "no text"}, texts, labels, GUIDES, most=10, seed=0)

    assert [(asked.item, asked.output.task, asked.output.text) for asked in found] == [
        ("a", "category", " Crime"),
        ("a", "hashtags", " Crime, Drama"),
        ("b", "hashtags", " Drama"),
    ]
    assert "Hashtags to generate: 2\n" in found[1].output.guidance
    few = make_questions(TEXTS, TEXTS, LABELS, GUIDES, most=5, seed=1)
    assert len({asked.item for asked in few}) == 5
    assert few == make_questions(sorted(TEXTS, reverse=True), TEXTS, LABELS, GUIDES, most=5, seed=1)
    assert {asked.item for asked in few} != {
        asked.item for asked in make_questions(TEXTS, TEXTS, LABELS, GUIDES, most=5, seed=2)
    }


def test_the_most_common_words_come_from_what_is_learnt_and_ties_go_by_the_alphabet():
    learnt = [Labels("War", ("War", "Drama")), Labels("Crime", ("Crime", "Drama")), Labels(None, ())]
    true = Labels("Noir", ("Noir", "Heist"))
    asked = [Question("x", GUIDES.category(true), true), Question("x", GUIDES.all_hashtags(true), true)]

    # Drama stands twice, Crime and War once each as a tag and once each as a category.
    assert most_common(asked, learnt) == ["Crime", "Drama, Crime"]


def test_the_figures_are_those_of_the_plain_measures():
    true = {"a": Labels("Crime", ("Crime", "Noir")), "b": Labels("War", ("War",))}
    asked = make_questions(true, {"a": "Heat", "b": "Fury"}, true, GUIDES, most=9, seed=0)

    found = measure_answers(asked, ["crime", "Noir, Heist", "Heist", "War"], ["Crime", "War", "Noir"])

    categories = measure_categories(["crime", "Heist"], ["Crime", "War"], ["Crime", "War", "Noir"])
    hashtags = measure_hashtags(["Noir, Heist", "War"], [["Crime", "Noir"], ["War"]])
    assert found["category"] == {name: pytest.approx(value, abs=1e-4) for name, value in vars(categories).items()}
    assert found["hashtags"] == {name: pytest.approx(value, abs=1e-4) for name, value in vars(hashtags).items()}
    assert (found["category"]["accuracy"], found["category"]["illusory"]) == (0.5, 0.5)
    assert (found["hashtags"]["precision"], found["hashtags"]["recall"]) == (0.75, 0.75)
    assert measure_answers(asked[:1], ["Crime"], ["Crime"]).keys() == {"category"}
    assert written_figures([], true, true, [], []) is None


def test_a_tuned_model_writes_about_items_it_never_learnt_and_the_folder_says_how_well(tiny, tmp_path):
    texts, pairs, labels = shop(48)
    held = share_of(texts, 0.25, "held out")
    config = CONFIG.model_copy(
        update={"epochs": 3, "batch_pairs": 16, "notes_at_once": 32, "alpha": 10.0, "written": 8}
    )
    further = {"held_out": held, "labels": labels, "field": "genre", "domain": FILMS}

    tune_encoder(tiny, texts, pairs, config, tmp_path / "out", silent, **further)

    found = json.loads((tmp_path / "out" / "knowflow_tuning.json").read_text())["figures"]["written"]
    asked = make_questions(held, texts, labels, GUIDES, 8, config.seed)
    before = answer(load_note_model(tiny, compression(FILMS), config), asked, texts, GUIDES, 32, silent)
    known = {tag for true in labels.values() for tag in true.hashtags}
    assert found["before"] == measure_answers(asked, before, known)
    learnt = [true for item, true in labels.items() if item not in held]
    assert found["most_common"] == measure_answers(asked, most_common(asked, learnt), known)
    assert found["items"] == found["after"]["category"]["count"] == found["after"]["hashtags"]["count"] == 8
    assert (found["before"]["category"]["accuracy"], found["before"]["category"]["illusory"]) == (0, 1)
    assert found["after"]["category"]["illusory"] < 0.5
    assert found["after"]["category"]["accuracy"] > found["most_common"]["category"]["accuracy"]
