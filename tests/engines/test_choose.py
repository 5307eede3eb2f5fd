"""Engines are plug-ins: found in our folder and in a team's, read without loading what they need, chosen by name."""

import subprocess
import sys
from pathlib import Path

import pytest

from base.plugins import find
from engines.choose import ENGINES, build_engine
from engines.protocol import EngineConfig, EngineFault
from engines.request import Request
from prompts.domain import load_domain

ROOT = Path(__file__).resolve().parents[2]
ECHO = '''
"""An engine that repeats."""
from base.frozen import Frozen
from engines.protocol import EngineKind
from engines.request import Answer, ModelIdentity


class EchoOptions(Frozen):
    times: int = 1
    loud: bool = False


class Echo:
    token_counter, context_tokens = "words", None

    def __init__(self, config, options, secret):
        self.options, self.secret = options, secret
        self.identity = ModelIdentity(config.model, config.revision)

    def count_tokens(self, messages):
        return sum(len(message["content"].split()) for message in messages)

    def generate(self, requests):
        for request in requests:
            text = " ".join([request.messages[-1]["content"]] * self.options.times)
            yield Answer(request.key, text.upper() if self.options.loud else text)


ECHO = EngineKind("echo", "repeats", EchoOptions, lambda config, options, domain, folder, secret: Echo(config, options, secret))
'''
LAZY = """
import sys
from base.plugins import find
from engines.choose import ENGINES
print(*find(ENGINES))
print([name for name in ("aiohttp", "vllm", "torch", "transformers", "safetensors") if name in sys.modules])
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A team's folder with one engine."""
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    return tmp_path


def build(folder: Path, **config):
    return build_engine(EngineConfig(**config), load_domain("generic"), folder, {"k": "v"}.__getitem__, [folder])


def test_an_engine_in_a_team_s_folder_answers_with_its_options(folder):
    engine = build(folder, name="echo", model="m", options={"times": 2, "loud": True})

    (answer,) = engine.generate([Request("k", ({"role": "user", "content": "hi"},), {}, {"type": "text"})])

    assert (answer.text, engine.identity.model) == ("HI HI", "m")
    assert vars(engine)["secret"]("k") == "v"


def test_all_that_is_wrong_with_the_options_of_a_team_s_engine_is_reported_at_once(folder):
    with pytest.raises(EngineFault) as fault:
        build(folder, name="echo", options={"times": "often", "lout": True})

    assert str(fault.value).splitlines() == [
        "engine.options.times: Input should be a valid integer, unable to parse string as an integer",
        "engine.options.lout: there is no such option; did you mean 'loud'?",
        "  the echo engine takes times, loud",
    ]


def test_an_unknown_name_is_answered_with_the_names_there_are(folder):
    with pytest.raises(EngineFault, match="no engine 'ekko'\n  use openai, recorded, vllm, echo, or package"):
        build(folder, name="ekko")


def test_a_team_s_engine_must_date_its_answers_as_well(folder):
    with pytest.raises(EngineFault, match="'echo' does not pass it on"):
        build(folder, name="echo", seen_until="2018-09-24")


def test_reading_which_engines_there_are_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", LAZY], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["openai recorded vllm", "[]"]


def test_every_engine_says_in_a_line_what_it_is():
    assert all(kind.about and "\n" not in kind.about for kind in find(ENGINES).values())
