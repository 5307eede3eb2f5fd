"""The example of a gate for pull requests, and what the example's two item prompts are worth."""

import json
import shlex

import pytest
import yaml

from tests.conftest import EXAMPLE, ROOT

FILE = ROOT / "examples" / "ci" / "prompts.yml"


def commands() -> list[list[str]]:
    """The `knowflow` commands of the example, as words."""
    steps = yaml.safe_load(FILE.read_text(encoding="utf-8"))["jobs"]["evaluate"]["steps"]
    return [shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("knowflow ")]


def moved(words: list[str], shop) -> list[str]:
    """A command on a copy of the example."""
    config = str((EXAMPLE / "knowflow.yaml").relative_to(ROOT))
    assert words.count(config) == 1
    return [str(shop.config) if word == config else word for word in words]


@pytest.mark.slow(reason="evaluates 150 films, as the example does")
def test_the_example_runs_and_says_honestly_what_the_two_versions_are_worth(movielens, plain_knowflow):
    lint, evaluation = [moved(words, movielens)[1:] for words in commands()]

    checked = plain_knowflow.run(*lint)
    passed = plain_knowflow.run(*evaluation)
    failed = plain_knowflow.run(*evaluation, "--fail-under", "words=40", "--no-worth", "--json")

    assert (checked.returncode, passed.returncode) == (0, 0), passed.stderr
    # All films that have an answer for both versions, and these only.
    assert "kar_item: 150 of 150 rows: of 3,227 rows, only these have an answer for every version" in passed.stderr
    assert "No difference is shown between kar_item.v1 and kar_item.v2" in passed.stdout
    assert "Beware of memorised ratings: 'acclaim' of kar_item.v2 correlates 0.8" in passed.stdout
    assert "No measure reads test rows" in passed.stderr
    told = json.loads(failed.stdout)
    assert failed.returncode == 1
    assert [one["calls"] for one in told["versions"]] == [0, 0]  # nothing is asked again
    assert told["broken"] == [
        "kar_item.v2: probe was not measured: this trial does not have it",
        "kar_item.v2: words is 31.2, below 40",
    ]
