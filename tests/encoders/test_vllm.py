"""The vLLM encoder gives the vectors of sentence-transformers: last token and mean, with a projection, cut alike."""

import json
import shutil

import numpy as np
import pytest
import torch

from base.faults import WrongUse
from base.progress import silent
from encoders.protocol import EncoderConfig
from encoders.vllm import VllmEncoder
from llm_tasks.pipeline.encode import choose_encoders

LONGEST = 32
TEXTS = [
    "A warm film.", "x", "Amélie (2001), Thing 3 of the shop", "word " * 100, *(f"text {n} " * (n % 9 + 1) for n in range(60))
]  # fmt: skip


@pytest.fixture(scope="module")
def embedders(vllm, tmp_path_factory):
    """Tiny models as sentence-transformers saves them: pooling and projection -> folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from tiny_model import VOCABULARY, make_tokenizer
    from transformers import LlamaConfig, LlamaModel

    base = tmp_path_factory.mktemp("embedders")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.1, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaModel(config).save_pretrained(base / "base")
    tokenizer = make_tokenizer()
    tokenizer.padding_side, tokenizer.chat_template = "right", None
    tokenizer.save_pretrained(base / "base")
    made = {}
    for name, pooling, projection in (
        ("last", "lasttoken", Dense(128, 16, activation_function=torch.nn.Identity())),
        ("mean", "mean", Dense(128, 16, activation_function=torch.nn.Tanh())),
        ("bare", "mean", None),
    ):
        parts = [Transformer(str(base / "base"), max_seq_length=LONGEST), Pooling(128, pooling_mode=pooling)]
        model = SentenceTransformer(modules=[*parts, *([projection] if projection else []), Normalize()])
        model.save(str(base / name))
        made[name] = base / name
    return made


def encoder(folder, **options):
    return VllmEncoder(folder.name, options.pop("max_tokens", 256), 8, "float32", True, folder.parent, **options)


@pytest.mark.parametrize(("name", "dimension"), [("last", 16), ("mean", 16), ("bare", 128)])
def test_vectors_equal_those_of_sentence_transformers(name, dimension, embedders):
    from sentence_transformers import SentenceTransformer

    wanted = SentenceTransformer(str(embedders[name]), device="cpu").encode(TEXTS)
    seen = []

    made = encoder(embedders[name])
    found = made.encode(TEXTS, lambda what, done, total: seen.append((what, done, total)))

    assert made.dimension == dimension == found.shape[1]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert seen[-1] == ("encoding (vllm)", len(TEXTS), len(TEXTS))


def test_a_vector_depends_on_its_text_alone_and_a_text_without_a_token_is_zeros(embedders):
    made = encoder(embedders["last"])

    together = made.encode([*TEXTS, ""], silent)
    alone = np.concatenate([made.encode([text], silent) for text in TEXTS[:3]])

    np.testing.assert_allclose(together[:3], alone, atol=1e-6)
    assert not together[-1].any()


def test_longer_texts_are_cut_at_the_shorter_of_what_the_config_and_the_folder_say(embedders):
    long, same = "word " * 100, "word " * 60
    by_folder, by_config = encoder(embedders["last"]), encoder(embedders["last"], max_tokens=8)

    np.testing.assert_array_equal(*by_folder.encode([long, same], silent))
    np.testing.assert_array_equal(*by_config.encode([long, "word " * 8], silent))
    assert np.abs(by_folder.encode([long], silent) - by_config.encode([long], silent)).max() > 1e-3
    assert by_folder.fingerprint != by_config.fingerprint


def test_the_fingerprint_is_of_the_files_wherever_they_lie(embedders, tmp_path):
    shutil.copytree(embedders["last"], tmp_path / "copy")
    copy = encoder(tmp_path / "copy")
    assert copy.fingerprint == encoder(embedders["last"]).fingerprint != encoder(embedders["mean"]).fingerprint

    config = tmp_path / "copy" / "1_Pooling" / "config.json"
    config.write_text(config.read_text().replace("lasttoken", "mean"))
    assert encoder(tmp_path / "copy").fingerprint != copy.fingerprint


def broken(embedders, tmp_path, change):
    """A copy of an embedder whose files have been changed."""
    folder = tmp_path / "broken"
    shutil.copytree(embedders["last"], folder)
    change(folder)
    return folder


def pool_by_maximum(folder):
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"embedding_dimension": 128, "pooling_mode": "max"}))


def add_a_module(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 4, "name": "4", "path": "4_LSTM", "type": "sentence_transformers.models.LSTM"})
    (folder / "modules.json").write_text(json.dumps(modules))


def put_into_a_template(folder):
    said = json.loads((folder / "sentence_bert_config.json").read_text())
    said["modality_config"]["message"] = said["modality_config"]["text"]
    (folder / "sentence_bert_config.json").write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "modules.json").unlink(), "has no modules.json of sentence-transformers"),
        (pool_by_maximum, "pools by max; vLLM supports mean, cls, lasttoken"),
        (add_a_module, "has a module LSTM; vLLM runs Transformer, Pooling, Dense, Normalize"),
        (put_into_a_template, "puts every text into a chat template"),
    ],
)
def test_a_folder_that_vllm_cannot_run_is_told_before_anything_is_paid_for(change, told, embedders, tmp_path):
    folder = broken(embedders, tmp_path, change)
    config = EncoderConfig(kind="vllm", model="broken")

    with pytest.raises(WrongUse, match=rf"encoders\.big: .*{told}[\s\S]*or use kind: dense"):
        choose_encoders("kar_item", None, {"big": config}, folder.parent)


def test_texts_of_a_task_are_encoded_by_it_once_and_stored(make_shop, embedders):
    big = {"kind": "vllm", "model": str(embedders["last"]), "dtype": "float32", "enforce_eager": True}
    shop = make_shop(encoders={"big": big})
    shop.ask("kar_item")

    first, second = shop.encode("kar_item")[0], shop.encode("kar_item")[0]

    assert (first.texts, first.new, first.dimension) == (12, 12, 16)
    assert (second.new, second.fingerprint) == (0, first.fingerprint)
    assert first.fingerprint.startswith("vllm-")
