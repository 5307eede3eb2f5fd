"""Notes, their prompts, and what is learnt to be written about them."""

import json
import random
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.domain import load_domain
from prompts.notes import Guides, Labels, compression, encoder_wrapping, labels_of, note_text

FILMS = load_domain("films")
COMPRESSION = compression(FILMS)
HASHTAGS = Guides(FILMS, "genre", hashtag_share=1.0)


class Letters:
    """A tokenizer whose tokens are letters."""

    def encode(self, text, *, add_special_tokens):
        assert not add_special_tokens
        return [ord(letter) for letter in text]

    def decode(self, ids):
        return "".join(map(chr, ids))


def test_the_prompt_is_cut_before_the_word_and_the_note_comes_before_all_that_differs_between_tasks():
    wrapped = compression(FILMS).wrap(note_text("Heat (1995)", "A thief."), Letters())

    assert wrapped == (
        "Extract what matters of this movie note for finding other films that the same people choose, and compress the "
        'note into one word for the purpose of recommendation.\nNote: Heat (1995)\nA thief.\nThe compression word is:"'
    )


@given(st.text(max_size=60), st.text(max_size=200))
def test_a_note_shows_20_tokens_of_its_title_and_80_of_its_content_at_most(title, content):
    wrapped = COMPRESSION.wrap(note_text(title, content), Letters())

    shown = wrapped.removeprefix(COMPRESSION.before).removesuffix(COMPRESSION.after)
    first = shown.partition("\n")[0]
    assert wrapped == COMPRESSION.before + shown + COMPRESSION.after
    assert len(shown) <= 20 + 1 + 80
    if "".join(title.split()) and content.strip():
        assert len(first) <= 20
        assert " ".join(title.split()).startswith(first)


def test_the_category_is_the_first_value_and_all_values_are_tags():
    items = [{"item": "1", "genres": ["Crime", "Drama"]}, {"item": "2", "genres": []}, {"item": "3", "genres": None}]

    assert labels_of(items, "genres") == {
        "1": Labels("Crime", ("Crime", "Drama")),
        "2": Labels(None, ()),
        "3": Labels(None, ()),
    }


@given(st.lists(st.sampled_from(["noir", "heist", "cop", "bank", "night"]), min_size=1, unique=True), st.integers())
def test_hashtags_are_as_many_as_the_guidance_says_and_none_stands_in_the_prompt(tags, seed):
    note = note_text("Heat", "a bank is robbed at NIGHT")

    output = HASHTAGS.draw(Labels("Crime", tuple(tags)), note, random.Random(seed))

    hidden = {tag for tag in tags if tag not in ("bank", "night")}
    if not hidden:
        assert output is None
        return
    assert output is not None
    written = output.text.strip().split(", ")
    shown = (COMPRESSION.wrap(note, Letters()) + output.guidance).casefold()
    assert len(set(written)) == len(written)
    assert set(written) <= hidden
    assert f"Hashtags to generate: {len(written)}\n" in output.guidance
    assert not any(tag in shown for tag in written)


def test_a_category_that_the_note_shows_is_not_asked_for():
    shown, hidden = note_text("Crime story"), note_text("Heat")
    guides = Guides(FILMS, "genre", hashtag_share=0.0)

    assert guides.draw(Labels("Crime", ()), shown, random.Random(0)) is None
    found = guides.draw(Labels("Crime", ()), hidden, random.Random(0))
    assert found is not None
    assert (found.task, found.text) == ("category", " Crime")
    assert found.guidance.endswith("Its genre:")


@pytest.mark.parametrize("share", [0.4, 0.1])
def test_the_tasks_are_drawn_in_their_shares(share):
    guides = Guides(FILMS, "genre", share)
    labels, note = Labels("Crime", ("Crime", "Noir")), note_text("Heat")

    drawn = [guides.draw(labels, note, random.Random(f"0/0/{item}")) for item in range(4_000)]

    tasks = [output.task for output in drawn if output]
    assert len(tasks) == 4_000
    # Four standard deviations of a share of 4,000 draws: 4 sqrt(0.4 x 0.6 / 4000) = 0.031.
    assert tasks.count("hashtags") / 4_000 == pytest.approx(share, abs=0.031)


def test_the_wrapping_of_a_tuned_encoder_is_read_from_its_folder(tmp_path):
    assert encoder_wrapping(tmp_path) is None
    (tmp_path / "knowflow_tuning.json").write_text(json.dumps({"kind": "notellm", "wrapping": None}))
    assert encoder_wrapping(tmp_path) is None
    wrapping = compression(FILMS)
    (tmp_path / "knowflow_tuning.json").write_text(json.dumps({"wrapping": asdict(wrapping)}))
    assert encoder_wrapping(tmp_path) == wrapping
