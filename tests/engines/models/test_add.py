"""Models that are brought in: the converted model computes what the original computes, and nothing half is left."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from base.faults import CheckFailed, WrongUse
from base.progress import silent
from engines.model_folder import fingerprint
from engines.models.add import add_file, add_folder, find_gguf
from engines.models.folder import read_card, read_model

ROOT = Path(__file__).resolve().parents[3]
TEXT = "In 1990's films, 12345 people:\n\n  7 said <|user|> it's 東京 ﬁne"


def loaded(folder: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def logits(model, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def test_a_converted_model_computes_and_splits_as_the_original(gguf_of, llama, tmp_path):
    original, tokenizer = llama

    added = add_file(gguf_of(), tmp_path / "models", "copy", silent)

    model, split = loaded(tmp_path / "models" / "copy")
    ids = tokenizer(TEXT)["input_ids"]
    assert split(TEXT)["input_ids"] == ids
    assert split.chat_template == tokenizer.chat_template
    np.testing.assert_allclose(logits(model, ids), logits(original, ids), rtol=0, atol=1e-5)
    assert added.new
    assert (added.notes, added.model.template, added.model.context) == ((), True, 1_024)
    assert added.model.parameters == sum(weights.numel() for weights in original.state_dict().values())


def test_quantised_weights_are_written_as_the_file_holds_them_and_the_card_says_so(gguf_of, llama, tmp_path):
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize
    from safetensors.numpy import load_file

    added = add_file(gguf_of(kind="Q4_1"), tmp_path / "models", "small", silent)

    found = load_file(tmp_path / "models" / "small" / "model.safetensors")
    exact = llama[0].state_dict()["model.layers.1.mlp.down_proj.weight"].numpy()
    rounded = dequantize(quantize(exact, GGMLQuantizationType.Q4_1), GGMLQuantizationType.Q4_1)
    np.testing.assert_array_equal(found["model.layers.1.mlp.down_proj.weight"], rounded)
    assert np.abs(rounded - exact).max() > 0
    card = (added.model.folder / "README.md").read_text()
    assert "quantised (Q4_1)" in card
    assert "a little worse than the original" in card
    assert "quantization_config" not in json.loads((added.model.folder / "config.json").read_text())


def test_half_precision_stays_what_it_is(gguf_of, tmp_path):
    assert add_file(gguf_of(kind="BF16"), tmp_path / "models", "half", silent).model.dtype == "bfloat16"


def test_digits_are_split_as_the_vocabulary_was_learnt_and_an_unknown_way_is_noted(gguf_of, llama, tmp_path):
    from tokenizers import pre_tokenizers

    original = llama[1].backend_tokenizer
    before = original.pre_tokenizer
    original.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    try:
        expected = original.encode(TEXT, add_special_tokens=False).ids
    finally:
        original.pre_tokenizer = before
    assert expected != original.encode(TEXT, add_special_tokens=False).ids  # "\n\n  7": the blanks stay together

    digits = add_file(gguf_of(pre="smollm"), tmp_path / "models", "digits", silent)
    other = add_file(gguf_of(pre="of-nobody"), tmp_path / "models", "other", silent)

    assert loaded(digits.model.folder)[1](TEXT)["input_ids"] == expected
    assert digits.notes == ()
    assert "splits texts as 'of-nobody'" in other.notes[0]


def test_the_same_file_makes_the_same_model_and_a_second_run_does_nothing(gguf_of, tmp_path):
    one = add_file(gguf_of(), tmp_path / "models", "one", silent)
    other = add_file(gguf_of(), tmp_path / "elsewhere", "other", silent)
    before = {path: path.stat().st_mtime_ns for path in one.model.folder.rglob("*")}

    again = add_file(gguf_of(), tmp_path / "models", "one", silent)

    assert one.model.fingerprint == other.model.fingerprint == read_card(one.model.folder)["fingerprint"]
    assert (again.new, again.model) == (False, one.model)
    assert {path: path.stat().st_mtime_ns for path in one.model.folder.rglob("*")} == before


def test_another_file_or_a_changed_folder_is_not_taken_for_the_model(gguf_of, tmp_path):
    folder = add_file(gguf_of(), tmp_path / "models", "one", silent).model.folder

    with pytest.raises(WrongUse, match="is there already, and is not made of this"):
        add_file(gguf_of("other.gguf", kind="F16"), tmp_path / "models", "one", silent)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(CheckFailed, match="was changed after it was made"):
        add_file(gguf_of(), tmp_path / "models", "one", silent)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"template": None}, "has no chat template"),
        ({"tokens": None, "types": None, "merges": None}, "cannot read its tokenizer"),
        ({"split_by": "of-nobody"}, "cannot read its tokenizer"),
        ({"leave_out": "blk.1.ffn_up.weight"}, "lacks weights, or has them in other sizes: model.layers.1.mlp.up_proj"),
        ({"layers": 3}, "lacks weights"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_leaves_nothing(gguf_of, tmp_path, settings, told):
    with pytest.raises(WrongUse, match=told):
        add_file(gguf_of(**settings), tmp_path / "models", "one", silent)

    assert [path.name for path in (tmp_path / "models").iterdir() if path.suffix != ".lock"] == []


def test_an_architecture_that_transformers_does_not_read_is_named(gguf_of, tmp_path):
    file = gguf_of()
    file.write_bytes(file.read_bytes().replace(b"llama", b"abcde"))

    with pytest.raises(WrongUse, match="architecture abcde"):
        add_file(file, tmp_path / "models", "one", silent)


def test_a_model_that_the_disk_cannot_hold_is_refused_before_it_is_read(tmp_path):
    """A file of 4 TB of nothing: a hole that takes no disk."""
    from gguf import GGMLQuantizationType, GGUFWriter

    writer = GGUFWriter(tmp_path / "huge.gguf", "llama")
    writer.add_tensor_info(
        "token_embd.weight", (1 << 20, 1 << 20), np.dtype("float32"), 4 << 40, GGMLQuantizationType.F32
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(tmp_path / "huge.gguf", (4 << 40) + 4_096)

    with pytest.raises(WrongUse, match=r"is too full: 4,398,.* MB needed"):
        add_file(tmp_path / "huge.gguf", tmp_path / "models", "huge", silent)


KILLED = """
import os, signal, sys
from pathlib import Path
from base.progress import silent
from engines.models.add import add_file
Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # all is written, and does not have its name yet
add_file(Path(sys.argv[1]), Path(sys.argv[2]), "one", silent)
"""


def test_a_kill_leaves_nothing_that_looks_like_a_model_and_the_next_run_clears_up(gguf_of, tmp_path):
    file, models = gguf_of(), tmp_path / "models"
    undisturbed = add_file(file, tmp_path / "undisturbed", "one", silent).model

    killed = subprocess.run([sys.executable, "-c", KILLED, file, models], cwd=ROOT, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in models.glob("[!.]*")] == []
    assert (models / ".one.making" / "model" / "model.safetensors").is_file()
    assert add_file(file, models, "one", silent).model.fingerprint == undisturbed.fingerprint
    assert sorted(path.name for path in models.iterdir() if path.suffix != ".lock") == ["one"]


def test_a_folder_that_is_a_model_is_copied_whole_and_a_broken_one_is_refused(gguf_of, tmp_path):
    folder = add_file(gguf_of(), tmp_path / "models", "one", silent).model.folder

    copied = add_folder(folder, tmp_path / "others", "two")
    again = add_folder(folder, tmp_path / "others", "two")

    assert (copied.new, again.new, copied.model.licence) == (True, False, "mit")
    assert (
        fingerprint(folder) == fingerprint(tmp_path / "others" / "two") == read_card(copied.model.folder)["fingerprint"]
    )
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WrongUse, match=r"model\.safetensors is cut off or damaged"):
        read_model(folder)
    weights.unlink()
    with pytest.raises(WrongUse, match="holds no weights"):
        read_model(folder)


def test_what_a_path_holds_decides_what_is_added(gguf_of, tmp_path):
    file = gguf_of()
    (tmp_path / "one").mkdir()
    shutil.copy(file, tmp_path / "one")

    assert find_gguf(file) == file
    assert find_gguf(tmp_path / "one") == tmp_path / "one" / "tiny.gguf"
    shutil.copy(file, tmp_path / "one" / "second.gguf")
    with pytest.raises(WrongUse, match=r"holds 2 GGUF files: second\.gguf, tiny\.gguf"):
        find_gguf(tmp_path / "one")
    for path, told in [(tmp_path / "none", "does not exist"), (tmp_path / "empty", "holds no GGUF file")]:
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(WrongUse, match=told):
            find_gguf(path)
