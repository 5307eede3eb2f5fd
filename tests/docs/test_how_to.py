"""What the how-to pages show really runs."""

import re
from pathlib import Path

import yaml

from engines.choose import build_engine
from engines.protocol import EngineConfig
from engines.request import Request
from prompts.domain import load_domain

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "own-engine.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found
    return found[1]


def test_the_engine_of_the_how_to_answers_requests(tmp_path):
    (tmp_path / "shouting.py").write_text(block("python"), encoding="utf-8")
    config = EngineConfig.model_validate(yaml.safe_load(block("yaml"))["engine"])
    engine = build_engine(config, load_domain("generic"), Path(), folders=[tmp_path])

    (answer,) = engine.generate([Request("k", ({"role": "user", "content": "two words"},), {}, {"type": "text"})])

    assert (answer.key, answer.text, answer.input_tokens) == ("k", "TWO WORDS?", 2)
    assert engine.identity.model == "capitals"
