"""What the guides say of models holds: their settings are read, and the small model lies where they say."""

import re
from pathlib import Path

import pytest
import yaml

from engines.models.fetch import PACKAGED
from engines.vllm.options import VllmOptions

ROOT = Path(__file__).parents[2]
SMALL = f"models/{PACKAGED['smollm2'].name}"


@pytest.mark.parametrize("page", ["vllm.md", "small-model.md"])
def test_the_engines_settings_in_a_guide_are_read(page):
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    engine = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[0])["engine"]

    options = VllmOptions.model_validate(engine["options"])

    assert engine["name"] == "vllm"
    assert engine["model"] == SMALL or options.template == {
        "enable_thinking": False
    }  # a model that thinks is told not to


def test_the_small_model_lies_where_the_guides_say():
    for page in ("small-model.md", "first-run.md"):
        named = re.findall(r"models/SmolLM2[\w.-]*", (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8"))
        assert set(named) == {SMALL}


def test_no_command_of_a_guide_asks_a_thinking_model_that_is_not_told_to_stop():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"knowflow (?:plan|refresh).*--model \S*Qwen3\S*", text) == []
