"""Headers of GGUF files, written by the package gguf: what they say, and what is refused."""

import os

import pytest

from base.faults import WrongUse
from engines.models.gguf_file import read_gguf


def test_the_header_says_what_the_model_is(gguf_of, llama):
    model, tokenizer = llama

    found = read_gguf(gguf_of())

    assert (found.architecture, found.licence, found.context) == ("llama", "mit", 1_024)
    assert found.template == tokenizer.chat_template
    assert found.parameters == sum(weights.numel() for weights in model.state_dict().values())
    assert found.metadata["tokenizer.ggml.tokens"] == len(tokenizer)  # of an array, its length


@pytest.mark.parametrize(
    ("kind", "quantised", "dtype"),
    [
        ("F32", "", "float32"),
        ("F16", "", "float16"),
        ("BF16", "", "bfloat16"),
        ("Q8_0", "Q8_0", "float32"),
        ("Q4_1", "Q4_1", "float32"),
    ],
)
def test_the_format_that_holds_the_weights_without_another_rounding(gguf_of, kind, quantised, dtype):
    found = read_gguf(gguf_of(kind=kind))

    assert (found.quantised, found.dtype) == (quantised, dtype)


@pytest.mark.parametrize("content", [b"", b"GG", b"GGML", b"PK\x03\x04 a wheel"])
def test_what_is_no_gguf_file_is_refused(tmp_path, content):
    (tmp_path / "x.gguf").write_bytes(content)

    with pytest.raises(WrongUse, match=r"x\.gguf is not a GGUF file"):
        read_gguf(tmp_path / "x.gguf")


def test_every_cut_of_a_file_is_refused(gguf_of):
    file = gguf_of()
    whole = file.read_bytes()

    for length in [*range(4, 400), len(whole) // 2, len(whole) - 64]:
        file.write_bytes(whole[:length])
        with pytest.raises(WrongUse, match="is cut off"):
            read_gguf(file)


def test_a_header_that_claims_more_than_there_is_is_refused_at_once(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + (3).to_bytes(4, "little") + (2**63 - 1).to_bytes(8, "little") * 2)

    with pytest.raises(WrongUse, match="cut off or damaged"):
        read_gguf(tmp_path / "x.gguf")


def test_another_version_a_part_of_several_and_a_file_without_weights_are_refused(gguf_of, llama, tmp_path):
    from gguf import GGUFWriter

    (tmp_path / "old.gguf").write_bytes(b"GGUF" + (1).to_bytes(4, "little") + bytes(16))
    vocabulary = GGUFWriter(tmp_path / "vocabulary.gguf", "llama")
    vocabulary.write_header_to_file()
    vocabulary.write_kv_data_to_file()
    vocabulary.close()

    for file, told in [
        (tmp_path / "old.gguf", "is GGUF of version 1"),
        (gguf_of("part.gguf", **{"split.count": 3}), "is one of 3 parts"),
        (tmp_path / "vocabulary.gguf", "holds no weights"),
    ]:
        with pytest.raises(WrongUse, match=told):
            read_gguf(file)


def test_a_header_is_read_without_the_weights(gguf_of):
    """A file that claims its size and holds nothing where the weights are: a hole costs no disk."""
    file = gguf_of()
    size = file.stat().st_size
    found = read_gguf(file)
    with file.open("r+b") as content:
        content.truncate(size - 4_096)
    os.truncate(file, size)

    assert read_gguf(file) == found
