"""`knowflow prompts try`: a plan first, three lines a row, a page, nothing asked twice; and forgetting it."""

import json
from functools import partial
from pathlib import Path

import pytest
from people_shop import copy_of, name_of, people_shop

USER = name_of(1)
PROMPT = """---
task: kar_user
version: 2
status: draft
schema: {type: text}
sampling: {temperature: 0.0, max_tokens: 30}
---
# user
What does this user like, in a word?
{{ input }}
"""


@pytest.fixture
def shop(made_once, shop_builder, tmp_path):
    """The shop of people, with a draft of the user prompt."""
    shop = copy_of(made_once("people", partial(people_shop, shop_builder)), tmp_path)
    (shop.folder / "prompts").mkdir()
    (shop.folder / "prompts" / "kar_user.v2.md").write_text(PROMPT)
    return shop


def tried(shop, plain_knowflow, *words):
    options = ["--version", "v1", "--version", "v2", "--sample", "6", "--config", shop.config]
    return plain_knowflow.run("prompts", "try", "kar_user", *options, *words)


def test_a_plan_comes_alone_if_wanted_and_asks_nothing(shop, plain_knowflow):
    before, calls = shop.store_bytes(), len(shop.calls())

    done = tried(shop, plain_knowflow, "--plan-only")
    told = json.loads(tried(shop, plain_knowflow, "--plan-only", "--json").stdout)

    assert done.returncode == 0, done.stderr
    assert "kar_user.v2  draft" in done.stdout
    assert "kar_user: 6 of 8 rows; seed 0" in done.stderr
    # A refresh has asked about all rows with v1; with v2 nobody has.
    assert [one["calls"] for one in told["versions"]] == [0, 6]
    assert (shop.store_bytes(), len(shop.calls())) == (before, calls)


def test_every_row_has_a_line_for_what_was_shown_and_for_every_answer_and_nothing_is_asked_twice(shop, plain_knowflow):
    asked = len(shop.calls())

    first = tried(shop, plain_knowflow)
    again = tried(shop, plain_knowflow)

    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    rows = [place for place, line in enumerate(lines) if line.startswith("user customer-")]
    assert len(rows) == 6
    for place in rows:
        assert [line[:9] for line in lines[place + 1 : place + 4]] == ["  shown  ", "  v1     ", "  v2     "]
    assert len(shop.calls()) == asked + 6
    assert [line for line in again.stdout.splitlines() if line.startswith("  v2")] == [
        line for line in lines if line.startswith("  v2")
    ]
    page = shop.folder / "runs" / "prompts" / "kar_user-v1-v2-6-0-texts.html"
    assert f"page  {page}" in first.stdout
    assert "next: knowflow prompts eval kar_user --versions v1,v2 --sample 6 --seed 0" in first.stderr
    assert page.read_text().count('<article class="row"') == 6
    assert len(json.loads(page.with_suffix(".rows.json").read_text())["rows"]) == 6
    assert "customer-" not in page.with_suffix(".json").read_text()  # figures can be kept with a promotion


def test_a_budget_stops_with_a_sentence_and_the_same_command_goes_on(shop, plain_knowflow):
    asked = len(shop.calls())

    stopped = tried(shop, plain_knowflow, "--max-tokens", "60")
    then = len(shop.calls())
    done = tried(shop, plain_knowflow)

    assert stopped.returncode == 1
    assert "calls of kar_user" in stopped.stderr
    assert "answers so far are kept" in stopped.stderr
    assert asked < then < asked + 6
    assert done.returncode == 0
    assert len(shop.calls()) == asked + 6


def test_forgetting_a_user_takes_their_answers_and_pages_of_trials_along(shop, plain_knowflow):
    tried(shop, plain_knowflow)
    folder = shop.folder / "runs" / "prompts"
    before = (folder / "kar_user-v1-v2-6-0-texts.rows.json").read_text()

    done = plain_knowflow.run("forget", USER, "--yes", "--config", shop.config)

    assert done.returncode == 0, done.stderr
    removed = json.loads(Path(done.stdout.split("receipt  ")[1].strip()).read_text())["removed"]["files"]
    assert removed["prompts/kar_user-v1-v2-6-0-texts.html"] == "is deleted; write it again: knowflow prompts eval"
    assert USER in before
    assert USER not in (folder / "kar_user-v1-v2-6-0-texts.rows.json").read_text()
    assert not (folder / "kar_user-v1-v2-6-0-texts.html").exists()
    assert b"in a word" not in b"".join(shop.store_bytes().values())  # answers of trials name nobody: all of v2 go


def test_collecting_releases_keeps_the_answers_of_trials(shop, plain_knowflow):
    tried(shop, plain_knowflow)
    asked = len(shop.calls())

    collected = plain_knowflow.run("release", "gc", "--config", shop.config)
    again = tried(shop, plain_knowflow)

    assert (collected.returncode, again.returncode) == (0, 0)
    assert len(shop.calls()) == asked


def test_a_user_with_an_id_of_two_letters_is_taken_out_of_pages_too(make_shop, plain_knowflow):
    shop = make_shop()
    plain_knowflow.run("prompts", "try", "kar_user", "--version", "v1", "--config", shop.config)
    page = shop.folder / "runs" / "prompts" / "kar_user-v1-8-0-texts.html"
    named = '"user": "u1"' in page.with_suffix(".rows.json").read_text()

    done = plain_knowflow.run("forget", "u1", "--yes", "--config", shop.config)

    assert done.returncode == 0, done.stderr
    assert named
    rows = json.loads(page.with_suffix(".rows.json").read_text())["rows"]
    assert {row["user"] for row in rows} == {"u0", "u2", "u3"}
    assert not page.exists()
