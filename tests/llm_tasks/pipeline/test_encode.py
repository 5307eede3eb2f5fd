"""Encoding: each text once under each encoder; a fit is kept until too much is new; nothing is mixed up."""

import numpy as np
import pytest

from base.faults import WrongUse
from base.progress import silent
from encoders.protocol import EncoderConfig
from engines.model_folder import minilm_folder
from feature_store.lineage import VectorName
from feature_store.vectors import newest_state, read_vectors, vectors_table
from llm_tasks.pipeline.catalogue import choose_tasks
from llm_tasks.pipeline.encode import choose_encoders, encode_task, model_encoder, task_texts


def items(count: int) -> dict[str, str]:
    return {f"i{place}": f"Thing {place}" for place in range(count)}


def lexical(**changes):
    return {"lexical": {"kind": "lexical", "dimension": 4, **changes}}


def test_every_text_is_encoded_once_and_a_second_time_nothing(shop):
    shop.ask("kar_item")

    (first,), (second,) = shop.encode("kar_item"), shop.encode("kar_item")

    assert (first.texts, first.new, first.fitted) == (12, 12, "fitted on 12 texts")
    assert (second.texts, second.new, second.fitted) == (12, 0, "")
    assert second.fingerprint == first.fingerprint


def test_a_few_new_texts_keep_the_fit_and_are_encoded_alone_and_many_move_it(shop):
    shop.configure(encoders=lexical(refit_share=0.2))
    shop.ask("kar_item")
    (first,) = shop.encode("kar_item")
    shop.write_items(items(15))  # 3 of 15 are new: 20%, which is not more than a fifth
    shop.ask("kar_item")
    (few,) = shop.encode("kar_item")
    shop.write_items(items(16))  # 4 of 16 are new since the fit: 25%
    shop.ask("kar_item")
    (many,) = shop.encode("kar_item")

    assert (few.new, few.fitted, few.fingerprint) == (3, "", first.fingerprint)
    assert (many.new, many.fitted) == (16, "fitted on 16 texts")
    assert many.fingerprint != first.fingerprint


@pytest.mark.parametrize("dimension", [2, 6])
def test_another_dimension_is_a_new_fit_in_both_directions(shop, dimension):
    shop.ask("kar_item")
    shop.encode("kar_item")
    shop.configure(encoders=lexical(dimension=dimension))

    (made,) = shop.encode("kar_item")

    assert (made.dimension, made.new) == (dimension, 12)
    assert shop.encode("kar_item")[0].new == 0


def test_a_dimension_that_few_texts_cannot_span_is_fitted_once_and_not_every_night(shop):
    shop.configure(encoders=lexical(dimension=384))
    shop.ask("kar_item")

    (first,), (second,) = shop.encode("kar_item"), shop.encode("kar_item")

    assert first.dimension == 11
    assert (second.new, second.fitted) == (0, "")


TWIN = """
from dataclasses import replace
from llm_tasks.item_facts import item_facts
facts_twin = replace(item_facts, name="facts_twin", lexical_space="facts_twin")
"""


def test_two_techniques_with_the_same_texts_each_keep_their_fit(shop, tmp_path):
    (tmp_path / "twin.py").write_text(TWIN)
    shop.configure(plugins=[str(tmp_path)])
    for name in ("item_facts", "facts_twin"):
        shop.ask(name)
        shop.encode(name)
    version = shop.place().store.version("encoder_states")

    again = [shop.encode(name)[0] for name in ("item_facts", "facts_twin", "item_facts")]

    assert [made.fitted for made in again] == ["", "", ""]
    assert shop.place().store.version("encoder_states") == version


def test_users_are_encoded_in_the_items_space(shop):
    shop.ask("kar_item")
    shop.ask("kar_user")

    (users,), (of_items,) = shop.encode("kar_user"), shop.encode("kar_item")

    assert users.fingerprint == of_items.fingerprint
    assert of_items.fitted == ""
    state = newest_state(shop.place().store, "lexical", "kar_item")
    assert state is not None
    assert set(state["text_keys"]) == set(task_texts(shop.place().store, "kar_item"))


def test_a_space_without_texts_says_what_to_run(shop):
    shop.ask("kar_user")

    with pytest.raises(
        WrongUse,
        match=r"texts of kar_item, and its 0 texts have too few words\n  make more first \(knowflow refresh --task kar_item\)",
    ):
        shop.encode("kar_user")


def test_vectors_come_back_in_the_order_asked_for(shop):
    shop.ask("kar_item")
    (made,) = shop.encode("kar_item")
    store, keys = shop.place().store, sorted(task_texts(shop.place().store, "kar_item"))
    table = vectors_table(VectorName("kar_item", "lexical"), made.dimension)

    forward = read_vectors(store, table, made.dimension, made.fingerprint, keys)
    backward = read_vectors(store, table, made.dimension, made.fingerprint, keys[::-1])

    assert forward.shape == (12, 4)
    assert (forward[::-1] == backward).all()


def test_an_encoding_that_was_stopped_goes_on_behind_its_last_commit(shop, monkeypatch):
    shop.ask("kar_item")
    monkeypatch.setattr("llm_tasks.pipeline.encode.ENCODED_AT_ONCE", 5)

    def stop_in_the_third_part(what: str, done: int, total: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.encode("kar_item", stop_in_the_third_part)

    (made,) = shop.encode("kar_item")

    assert (made.texts, made.new) == (12, 2)  # two parts of five were there
    assert made.fitted == ""


@pytest.mark.parametrize(("rows", "seconds", "writes"), [(100, 1e9, 1), (6, 1e9, 2), (100, 0.0, 3)])
def test_vectors_are_written_when_enough_wait_or_after_so_long(shop, monkeypatch, rows, seconds, writes):
    for name, value in {"ENCODED_AT_ONCE": 5, "WRITE_ROWS": rows, "WRITE_SECONDS": seconds}.items():
        monkeypatch.setattr(f"llm_tasks.pipeline.encode.{name}", value)
    shop.ask("kar_item")

    (made,) = shop.encode("kar_item")

    assert made.new == 12
    assert shop.place().store.version("vectors_lexical_4.kar_item") == 1 + writes  # the first one made the table


def test_the_dense_encoder_encodes_only_what_is_new(make_shop):
    (shop := make_shop(items=3)).configure(encoders={"dense": {"kind": "dense", "model": "model"}})
    (shop.folder / "model").symlink_to(minilm_folder())  # relative to knowflow.yaml, not to where we stand
    shop.ask("kar_item")

    (first,), (second,) = shop.encode("kar_item"), shop.encode("kar_item")
    shop.write_items(items(4))
    shop.ask("kar_item")
    (third,) = shop.encode("kar_item")

    assert (first.dimension, first.new, second.new, third.new) == (384, 3, 0, 1)
    assert first.fingerprint == third.fingerprint


@pytest.mark.parametrize(
    ("wanted", "encoders", "message"),
    [
        (["dens"], {}, r"tasks\.kar_item\.encoders: there is no encoder dens\n  there are: lexical"),
        (None, {"two words": EncoderConfig(kind="lexical")}, r"'two words' cannot name a table"),
        (None, {"a/b": EncoderConfig(kind="lexical")}, r"'a/b' cannot name a table"),
        (
            None,
            {"d": EncoderConfig(kind="dense", model="gone")},
            r"encoders\.d: model 'gone': .*gone holds no \.safetensors",
        ),
        (
            None,
            {"d": EncoderConfig(kind="dense", max_tokens=999)},
            r"encoders\.d: .*max_tokens is 999, but the model reads at most 512",
        ),
    ],
)
def test_encoders_that_cannot_be_used_are_told_before_anything_is_asked(tmp_path, wanted, encoders, message):
    with pytest.raises(WrongUse, match=message):
        choose_encoders("kar_item", wanted, {"lexical": EncoderConfig(kind="lexical"), **encoders}, tmp_path)


def test_a_task_may_name_some_of_the_encoders(tmp_path):
    both = {"a": EncoderConfig(kind="lexical"), "b": EncoderConfig(kind="lexical")}

    assert list(choose_encoders("kar_item", ["b"], both, tmp_path)) == ["b"]
    assert list(choose_encoders("kar_item", None, both, tmp_path)) == ["a", "b"]
    assert choose_encoders("kar_item", (), both, tmp_path) == {}


HASHED = '''
"""A bag of words: a word adds one at the place of its hash."""
import hashlib

import numpy as np

from base.frozen import Frozen
from encoders.protocol import EncoderKind


class HashedOptions(Frozen):
    width: int = 8


class Hashed:
    seen_until = None

    def __init__(self, width):
        self.dimension, self.fingerprint = width, f"hashed-{width}"

    def encode(self, texts, progress):
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                out[row, int(hashlib.md5(word.encode()).hexdigest(), 16) % self.dimension] += 1
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


HASHED = EncoderKind("hashed", "hashed words", HashedOptions, lambda options, folder: Hashed(options.width))
'''


@pytest.fixture
def folder(tmp_path):
    """A team's folder with one encoder."""
    (plugins := tmp_path / "plugins").mkdir()
    (plugins / "hashed.py").write_text(HASHED, encoding="utf-8")
    return plugins


def test_an_encoder_in_a_team_s_folder_encodes_a_technique_s_texts(shop, folder):
    shop.ask("kar_item")
    configs = {"words": EncoderConfig(kind="hashed", width=16)}
    chosen = choose_encoders("kar_item", None, configs, folder, [folder])
    task = choose_tasks(["kar_item"])[0]

    with shop.place().store.writer("a test") as writer:
        (first,) = encode_task(task, chosen, writer, silent, folder, [folder])
        (second,) = encode_task(task, chosen, writer, silent, folder, [folder])

    assert (first.texts, first.new, first.dimension, first.fingerprint) == (12, 12, 16, "hashed-16")
    assert second.new == 0
    store = shop.place().store
    vectors = read_vectors(
        store,
        vectors_table(VectorName("kar_item", "words"), 16),
        16,
        "hashed-16",
        sorted(task_texts(store, "kar_item")),
    )
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(12), abs=1e-3)  # stored in 16 bits


def test_a_fault_of_a_team_s_encoder_is_not_taken_for_too_few_words(shop, folder):
    shop.ask("kar_item")
    fitted = "Fitting(lambda *_: [][0:1].index(7), lambda state: None, lambda *_: False)"
    code = HASHED.replace("EncoderKind\n", "EncoderKind, Fitting\n", 1)
    code = code.replace("lambda options, folder: Hashed(options.width)", fitted)
    (folder / "hashed.py").write_text(code, encoding="utf-8")
    chosen = {"words": EncoderConfig(kind="hashed")}

    with shop.place().store.writer("a test") as writer, pytest.raises(ValueError, match="is not in list"):
        encode_task(choose_tasks(["kar_item"])[0], chosen, writer, silent, folder, [folder])


def test_settings_that_a_kind_does_not_know_are_reported_where_it_is_used(folder):
    with pytest.raises(WrongUse, match=r"encoders\.w\.widht: Extra inputs"):
        model_encoder("w", EncoderConfig(kind="hashed", widht=16), folder, [folder])
    with pytest.raises(WrongUse, match=r"encoders\.w\.kind: no such encoder: hashd\n  there are: .*hashed"):
        model_encoder("w", EncoderConfig(kind="hashd"), folder, [folder])


def test_a_fitted_encoder_encodes_nothing_but_its_technique_s_texts(tmp_path):
    with pytest.raises(WrongUse, match="needs fitting on a technique's texts"):
        model_encoder("l", EncoderConfig(kind="lexical"), tmp_path)
