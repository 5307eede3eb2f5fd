"""knowflow prompts: versions of prompts listed, shown, checked, compared, begun, promoted."""

import json
import shutil
from pathlib import Path

import pytest

from prompts.domain import load_domain
from prompts.library import FOLDER, choose_prompt

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
    assert {one["task"] for one in found if one["runs"]} > {"recgen"}  # no technique asks with it, tuning does
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


def test_new_begins_a_draft_in_the_teams_own_folder_that_is_made_if_it_is_missing(make_shop, plain_knowflow):
    shop = make_shop()

    done = plain_knowflow.run("prompts", "new", "kar_item", "--config", shop.config)
    second = told(plain_knowflow, "new", "kar_item", "--from-version", "v2", "--config", shop.config)

    path = shop.folder / "prompts" / "kar_item.v3.md"
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"kar_item.v3, a draft, from kar_item.v1: {path}\n"
    assert done.stderr.splitlines()[-1] == f"next: knowflow prompts lint kar_item.v3 --config {shop.config}"
    assert path.read_bytes() == ITEM.read_bytes().replace(b"version: 1\nstatus: live", b"version: 3\nstatus: draft")
    assert (second["prompt"], second["from"]) == ("kar_item.v4", "kar_item.v2")
    assert listed(plain_knowflow, shop, "kar_item")[2:] == [
        (3, "draft", False, "own", False, None),
        (4, "draft", False, "own", False, None),
    ]
    assert [row["status"] for row in shop.lineage("kar_item").values()] == []


def test_new_begins_a_domain_and_says_how_to_use_it(make_shop, plain_knowflow):
    shop = make_shop()

    done = plain_knowflow.run("prompts", "new", "--domain", "games", "--config", shop.config)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f": {shop.folder / 'prompts' / 'domains' / 'games.yaml'}\n")
    assert "name it in knowflow.yaml: domain: games" in done.stderr
    for arguments in ((), ("kar_item", "--domain", "films")):
        wrong = plain_knowflow.run("prompts", "new", *arguments, "--config", shop.config)
        assert wrong.returncode == 2
        assert wrong.stderr.startswith("name a task, such as kar_item, or a domain: --domain films")


def test_lint_checks_prompts_against_the_rows_of_the_data_and_leaves_with_1_for_a_fault(team, plain_knowflow):
    draft = team.folder / "prompts" / "kar_item.v3.md"
    config = ("--config", team.config)

    good = plain_knowflow.run("prompts", "lint", "kar_item.v3", *config)
    draft.write_text(draft.read_text().replace("{{ input }}", "{{ input }} is by {{ director }}"))
    bad = plain_knowflow.run("prompts", "lint", "kar_item.v3", *config)
    facts = json.loads(plain_knowflow.run("prompts", "lint", "kar_item.v3", *config, "--json").stdout)

    assert (good.returncode, good.stderr) == (0, "tokens are words between spaces\n")
    # "Thing 0" and its description are 2 words; of the 12 items none is longer.
    assert good.stdout.splitlines()[-1].split()[:4] == ["kar_item.v3", "draft", "0", "0"]
    assert bad.returncode == 1
    assert "kar_item.v3: fault: unknown_variables: uses director, which its rows do not offer: input" in bad.stdout
    assert "kar_item.v3: fault: data_delimited: data stands within a sentence" in bad.stdout
    assert (facts["faults"], [one["rule"] for one in facts["prompts"][0]["findings"]]) == (
        3,
        ["unknown_variables", "data_delimited", "data_delimited"],
    )


def test_lint_counts_with_the_engine_and_its_context(team, plain_knowflow):
    rendered = choose_prompt("kar_item", 1).render({"input": "Thing 10"}, load_domain("generic"))[0]["content"]
    options = {"context_tokens": 190}  # an answer of kar_item.v1 may have 160 tokens; its own text has 29 words
    team.configure(engine={"name": "scripted:ScriptedEngine", "model": "m", "revision": "1", "options": options})

    done = plain_knowflow.run("prompts", "lint", "kar_item.v1", "--config", team.config, "--json")

    (found,) = json.loads(done.stdout)["prompts"]
    assert (done.returncode, found["rows"], found["answer_tokens"]) == (1, 12, 160)
    assert found["longest_row_tokens"] == len(rendered.split())
    assert found["findings"][0]["text"].startswith("not one sampled row fits; the longest: ")


def test_lint_of_everything_passes_and_takes_all_versions_that_are_not_retired(team, plain_knowflow):
    done = plain_knowflow.run("prompts", "lint", "--config", team.config, "--json")

    found = json.loads(done.stdout)
    assert (done.returncode, found["faults"]) == (0, 0)
    assert "interest_clusters is checked without rows: clusters of items: there is no category field" in done.stderr
    names = {one["prompt"] for one in found["prompts"]}
    assert {"kar_item.v1", "kar_item.v2", "kar_item.v3", "note_category.v1", "query_quality.v1"} < names
    team.folder.joinpath("prompts", "kar_item.v3.md").unlink()
    draft = (FOLDER / "kar" / "kar_item.v2.md").read_text().replace("draft", "retired")
    (team.folder / "prompts" / "kar_item.v2.md").write_text(draft)
    found = json.loads(plain_knowflow.run("prompts", "lint", "--config", team.config, "--json").stdout)
    assert "kar_item.v2" not in {one["prompt"] for one in found["prompts"]}


def test_diff_shows_lines_and_what_differs_in_effect(team, plain_knowflow):
    config = ("--config", team.config)

    done = plain_knowflow.run("prompts", "diff", "kar_item.v1", "kar_item.v2", *config)
    facts = told(plain_knowflow, "diff", "kar_item.v1", "kar_item.v2", *config)

    assert done.stdout.startswith("--- kar_item.v1\n+++ kar_item.v2\n@@ ")
    assert "\x1b" not in done.stdout
    assert "\n-status: live\n" in done.stdout
    assert "\n+status: draft\n" in done.stdout
    assert done.stderr.splitlines() == [
        "the text differs",
        "the form of the answer differs",
        "max_tokens: 160 -> 256",
        "status: live -> draft",
        "no stored answer of one serves the other: each asks all of its rows",
    ]
    assert (facts["text"], facts["schema"], facts["same_answers"]) == (True, True, False)
    assert facts["sampling"] == {"max_tokens": [160, 256]}
    assert list(facts["lines"]) == done.stdout.splitlines()


def test_diff_with_one_name_compares_with_what_it_shadows_or_with_what_runs(team, plain_knowflow):
    own = team.folder / "prompts" / "kar_item.v1.md"
    own.write_text(own.read_text().replace("max_tokens: 160", "max_tokens: 99, seed: 1"))
    config = ("--config", team.config)

    shadow = plain_knowflow.run("prompts", "diff", "kar_item.v1", *config)
    draft = told(plain_knowflow, "diff", "kar_item.v3", *config)

    assert shadow.stdout.startswith("--- kar_item.v1 (shipped)\n+++ kar_item.v1 (own)\n")
    assert shadow.stderr.splitlines()[:2] == ["max_tokens: 160 -> 99", "seed: not set -> 1"]
    assert (draft["old"], draft["new"], draft["same_answers"]) == ("kar_item.v1", "kar_item.v3", False)
    alone = plain_knowflow.run("prompts", "diff", "kar_user.v1", *config)
    assert (alone.returncode, alone.stderr.splitlines()[1]) == (2, "  name another version")


def test_diff_of_versions_that_differ_in_status_alone_says_that_answers_serve_both(team, plain_knowflow):
    done = plain_knowflow.run("prompts", "diff", "kar_item.v1", "kar_item.v3", "--config", team.config)

    same = "texts, form and sampling are the same: the same stored answers serve both"
    assert done.stderr.splitlines() == ["status: live -> draft", same]
