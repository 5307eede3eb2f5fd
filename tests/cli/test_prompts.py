"""knowflow prompts: versions of prompts listed, shown, checked, compared, begun, promoted."""

import json
import shutil
from pathlib import Path

import pytest

from prompts.library import FOLDER

ITEM = FOLDER / "kar" / "kar_item.v1.md"


@pytest.fixture
def team(make_shop):
    """A shop with a folder of its own prompts: it shadows kar_item.v1 by the same text, and has a draft v3."""
    shop = make_shop()
    own = shop.folder / "prompts"
    own.mkdir()
    shutil.copy(ITEM, own)
    text = ITEM.read_text(encoding="utf-8").replace("version: 1", "version: 3").replace("live", "draft")
    (own / "kar_item.v3.md").write_text(text, encoding="utf-8")
    return shop


def told(knowflow, *arguments):
    done = knowflow.run("prompts", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(knowflow, shop, *arguments):
    """(version, status, runs, origin, shadowed, shadows) of every listed version."""
    facts = ("version", "status", "runs", "origin", "shadowed", "shadows")
    found = told(knowflow, "list", *arguments, "--config", shop.config)["prompts"]
    return [tuple(one[name] for name in facts) for one in found]


def test_list_says_of_each_version_where_it_lies_what_it_shadows_and_whether_a_refresh_asks_with_it(
    team, plain_knowflow
):
    assert listed(plain_knowflow, team, "kar_item") == [
        (1, "live", True, "own", False, "shipped"),
        (1, "live", False, "shipped", True, None),
        (2, "draft", False, "shipped", False, None),
        (3, "draft", False, "own", False, None),
    ]
    shown = plain_knowflow.run("prompts", "list", "kar_item", "--config", team.config)
    rows = [line.split("  ") for line in shown.stdout.splitlines()[2:]]
    assert [[cell.strip() for cell in row if cell][:4] for row in rows] == [
        ["kar_item.v1", "live", "yes", "own, shadows the shipped one"],
        ["kar_item.v1", "live", "shipped, shadowed by your own", str(ITEM.relative_to(Path.cwd()))],
        ["kar_item.v2", "draft", "shipped", str(FOLDER.relative_to(Path.cwd()) / "kar" / "kar_item.v2.md")],
        ["kar_item.v3", "draft", "own", str(team.folder / "prompts" / "kar_item.v3.md")],
    ]


def test_list_without_a_task_lists_every_prompt(team, plain_knowflow):
    found = told(plain_knowflow, "list", "--config", team.config)["prompts"]

    assert {"kar_item", "kar_user", "recgen", "note_embedding"} < {one["task"] for one in found}
    assert [one["task"] for one in found] == sorted(one["task"] for one in found)


def test_list_says_what_knowflow_yaml_fixes_and_that_a_refresh_refuses_what_is_not_live(team, plain_knowflow):
    team.configure(tasks={"kar_item": {"prompt_version": 2}})

    done = plain_knowflow.run("prompts", "list", "kar_item", "--config", team.config)

    assert not any(runs for _, _, runs, *_ in listed(plain_knowflow, team, "kar_item"))
    assert done.stderr == (
        "tasks.kar_item.prompt_version in knowflow.yaml fixes kar_item.v2, which is draft: a refresh refuses it\n"
    )
    team.configure(tasks={"kar_item": {"prompt_version": 1}})
    assert [runs for _, _, runs, *_ in listed(plain_knowflow, team, "kar_item")] == [True, False, False, False]


def test_show_gives_all_that_a_file_declares_and_its_text(team, plain_knowflow):
    config = ("--config", team.config)

    done = plain_knowflow.run("prompts", "show", "kar_item.v2", *config)
    facts = told(plain_knowflow, "show", "kar_item.v2", *config)

    assert done.stdout.startswith(
        "kar_item.v2: draft, a refresh does not ask with it; shipped\nfile       prompts/kar/"
    )
    assert "\nvariables  input\nschema     {" in done.stdout
    assert "\nsampling   temperature 0.0, max_tokens 256\n\n# user\nDescribe this {{ domain.noun }}" in done.stdout
    assert (facts["variables"], facts["sampling"]) == (["input"], {"temperature": 0.0, "max_tokens": 256})
    assert facts["schema"]["fields"]["acclaim"] == {"type": "number", "minimum": 1, "maximum": 5}
    assert facts["messages"][0]["text"].endswith("{{ input }}")


def test_show_of_a_task_gives_the_version_that_a_refresh_asks_with(team, plain_knowflow):
    config = ("--config", team.config)

    facts = told(plain_knowflow, "show", "kar_item", *config)

    assert (facts["version"], facts["origin"], facts["shadows"]) == (1, "own", "shipped")
    assert Path(facts["path"]) == team.folder / "prompts" / "kar_item.v1.md"


def test_a_prompt_that_is_not_there_is_refused_with_a_near_one(team, plain_knowflow):
    for arguments in (("list", "kar_itm"), ("show", "kar_itm"), ("show", "kar_itm.v1")):
        done = plain_knowflow.run("prompts", *arguments, "--config", team.config)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "there is no prompt kar_itm\n  did you mean kar_item?\n"
    gone = plain_knowflow.run("prompts", "show", "kar_item.v9", "--config", team.config)
    assert gone.returncode == 2
    assert "there are kar_item.v1 (live), kar_item.v2 (draft), kar_item.v3 (draft)" in gone.stderr
