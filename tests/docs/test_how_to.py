"""What the how-to pages show really runs."""

import re
from pathlib import Path

import pytest
import yaml

from base.progress import silent
from encoders.protocol import EncoderConfig
from engines.choose import build_engine
from engines.protocol import EngineConfig
from engines.request import Request
from llm_tasks.pipeline.encode import model_encoder
from prompts.domain import load_domain

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "own-engine.md").read_text(encoding="utf-8")


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)[number]


def test_the_engine_of_the_how_to_answers_requests(tmp_path):
    (tmp_path / "shouting.py").write_text(block("python"), encoding="utf-8")
    config = EngineConfig.model_validate(yaml.safe_load(block("yaml"))["engine"])
    engine = build_engine(config, load_domain("generic"), Path(), folders=[tmp_path])

    (answer,) = engine.generate([Request("k", ({"role": "user", "content": "two words"},), {}, {"type": "text"})])

    assert (answer.key, answer.text, answer.input_tokens) == ("k", "TWO WORDS?", 2)
    assert engine.identity.model == "capitals"


def test_the_encoder_of_the_how_to_encodes_texts(tmp_path):
    (tmp_path / "hashed.py").write_text(block("python", 1), encoding="utf-8")
    config = EncoderConfig.model_validate(yaml.safe_load(block("yaml", 1))["encoders"]["words"])
    encoder = model_encoder("words", config, Path(), [tmp_path])

    one, other, same = encoder.encode(["warm film", "grim play", "Film warm"], silent)

    assert (len(one), float(one @ same)) == (512, pytest.approx(1.0))
    assert float(one @ other) < 0.1
