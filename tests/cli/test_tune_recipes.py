"""knowflow tune RECIPE: recipes of a team's own folder, generated options, and what earlier versions called them."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

START = datetime(2024, 1, 1, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "tune.md"
COUNT = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[-1]
"""The recipe that the page shows."""


@pytest.fixture
def shop(make_shop):
    """A shop of ten events, an hour apart, with a folder of plug-ins: the newest two validate and test."""
    shop = make_shop(items=10)
    shop.write_events([("u", f"i{place}", START + timedelta(hours=place), 5.0) for place in range(10)])
    (shop.folder / "mine").mkdir()
    shop.configure(plugins=["mine"])
    return shop


def test_a_recipe_of_a_teams_own_runs_and_its_folder_says_what_it_has_seen(shop, plain_knowflow, tmp_path):
    (shop.folder / "mine" / "count.py").write_text(COUNT)
    words = ["tune", "count", "--config", str(shop.config), "--out", str(tmp_path / "out")]

    made = plain_knowflow.run(*words, "--times", "3")
    again = plain_knowflow.run(*words, "--times", "3", "--resume", "--json")
    other = plain_knowflow.run(*words, "--resume")
    help_page = plain_knowflow.run("tune", "count", "--config", str(shop.config), "--help")
    wrong = plain_knowflow.run(*words, "--times", "10")

    assert made.returncode == again.returncode == 0, made.stderr + again.stderr
    said = json.loads((tmp_path / "out" / "knowflow_tuning.json").read_text())
    seen = datetime.fromisoformat(said["seen_until"])
    assert seen == START + timedelta(hours=said["weight"] // 3 - 1)  # the newest event that trains, an hour each
    assert said["weight"] < 30  # the newest events do not train
    assert json.loads(again.stdout)["weight"] == said["weight"]
    assert made.stdout.startswith(f"tuned {tmp_path / 'out'}, revision ")
    assert (other.returncode, "settings.times differ" in other.stderr) == (2, True)
    assert "--times" in help_page.stdout
    assert "[at least 1, at most 9] [default: 2]" in " ".join(help_page.stdout.replace("│", " ").split())
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (2, "--times: should be less than or equal to 9, not 10")


def test_a_recipe_reads_only_what_it_declares(shop, plain_knowflow, tmp_path):
    (shop.folder / "mine" / "count.py").write_text(COUNT.replace("inputs.events()", "inputs.notes().texts"))

    refused = plain_knowflow.run("tune", "count", "--config", str(shop.config), "--out", str(tmp_path / "out"))

    assert refused.returncode == 2
    assert "the recipe count reads notes without declaring it\n  add it to learns_from" in refused.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tune-encoder", "--out", "a b"], "run: knowflow tune encoder --out 'a b'\n"),
        (["tune-rewrites", "--stage", "sft"], "run: knowflow tune rewrites --stage sft\n"),
        (["tune", "--model", "m"], "run: knowflow tune sft --model m\n"),
        (["tune", "stf"], 'Unknown command "stf". Did you mean "sft"?'),
        (["tune", "sft", "--model", "m"], "see: knowflow tune sft --help\n"),
    ],
)
def test_wrong_words_are_answered_with_the_command_to_type(words, told, plain_knowflow):
    done = plain_knowflow.run(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


@pytest.mark.parametrize("recipe", ["sft", "rewrites", "encoder"])
def test_the_help_of_a_recipe_says_what_it_learns_from_its_loss_and_every_option(recipe, plain_knowflow):
    from base.plugins import find
    from tuning.recipe import RECIPES

    page = plain_knowflow.run("tune", recipe, "--help").stdout

    found = find(RECIPES)[recipe]
    assert f"Loss: {found.loss}." in " ".join(page.split())
    assert f"Learns from: {', '.join(found.learns_from)}." in page
    assert found.example in " ".join(page.split())
    for option in found.options.model_fields:
        assert f"--{option.replace('_', '-')}" in page
