"""Fingerprints: the same files have the same one wherever they lie; any other content, name or size has another."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model_folder import SAMPLE, fingerprint

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "nested/vocab.txt": b"a\nb\n"}


def write(folder, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return fingerprint(folder)


def test_a_copy_elsewhere_has_the_same_fingerprint(tmp_path):
    one, other = write(tmp_path / "one", FILES), write(tmp_path / "other" / "deep", dict(reversed(FILES.items())))
    os.utime(tmp_path / "one" / "config.json", (0, 0))

    assert one == other == fingerprint(tmp_path / "one")
    assert len(one) == 16
    assert int(one, 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"config.json": b"{ }"},
        {"model.safetensors": b"Weights"},
        {"nested/vocab.txt": b"a\nb"},
        {"one_more": b""},
        {"config.json": b"", "model.safetensors": b"{}weights"},  # the same bytes, cut elsewhere
    ],
)
def test_any_change_of_a_file_changes_it(tmp_path, change):
    assert write(tmp_path / "one", FILES) != write(tmp_path / "other", FILES | change)


def test_the_name_and_the_place_of_a_file_count(tmp_path):
    assert len({write(tmp_path / str(n), {name: b"x"}) for n, name in enumerate(["a", "b", "a/a", "b/a"])}) == 4


@pytest.mark.parametrize("name", [".gitattributes", ".cache/huggingface/config.json.metadata", "README.md"])
def test_hidden_files_and_texts_for_readers_do_not_count(tmp_path, name):
    assert write(tmp_path / "one", FILES) == write(tmp_path / "other", FILES | {name: b"x"})


BETWEEN = SAMPLE + SAMPLE // 2
"""A place between the first sample and the middle one of a file of four."""


@pytest.mark.parametrize("place", [0, SAMPLE - 1, 2 * SAMPLE, 3 * SAMPLE - 1, 3 * SAMPLE, 4 * SAMPLE - 1])
def test_a_large_file_of_weights_counts_by_its_size_and_its_begin_middle_and_end(tmp_path, place):
    large = bytearray(4 * SAMPLE)
    plain = write(tmp_path / "one", {"model.safetensors": bytes(large)})
    large[place] = 1

    assert write(tmp_path / "other", {"model.safetensors": bytes(large)}) != plain
    assert write(tmp_path / "longer", {"model.safetensors": bytes(4 * SAMPLE + 1)}) != plain


def test_a_byte_between_the_samples_counts_in_a_tokenizer_and_not_in_weights(tmp_path):
    large, same = bytearray(4 * SAMPLE), []
    for name in ("tokenizer.json", "model.safetensors"):
        large[BETWEEN] = 0
        plain = write(tmp_path / name / "one", {name: bytes(large)})
        large[BETWEEN] = 1
        same.append(write(tmp_path / name / "other", {name: bytes(large)}) == plain)

    assert same == [False, True]


@settings(max_examples=30, deadline=None)
@given(
    one=st.dictionaries(st.sampled_from("abc"), st.binary(max_size=3)),
    other=st.dictionaries(st.sampled_from("abc"), st.binary(max_size=3)),
)
def test_two_folders_share_a_fingerprint_only_when_their_files_are_the_same(tmp_path_factory, one, other):
    folders = [tmp_path_factory.mktemp("model") for _ in range(2)]

    assert (write(folders[0], one) == write(folders[1], other)) == (one == other)
