"""knowflow prompts promote, retire and history on a real store: what the next plan asks, and what going back costs."""

import json

import pytest

from prompts.library import FOLDER

ITEM, USER = FOLDER / "kar" / "kar_item.v1.md", FOLDER / "kar" / "kar_user.v1.md"


@pytest.fixture
def shop(make_shop):
    """A shop whose answers are all there, and with a trial version 3 of the item prompt."""
    shop = make_shop()
    for task in ("kar_item", "kar_user"):
        shop.ask(task)
    own = shop.folder / "prompts"
    own.mkdir()
    text = ITEM.read_text().replace("version: 1", "version: 3").replace("status: live", "status: trial")
    (own / "kar_item.v3.md").write_text(text.replace("45-65 words", "20-30 words"))
    return shop


@pytest.fixture
def prompts(shop, plain_knowflow):
    """Run `knowflow prompts ...` in the shop."""

    def run(*arguments):
        return plain_knowflow.run("prompts", *arguments, "--config", shop.config)

    return run


def planned(knowflow, shop):
    """Technique -> (cached, new, changed, calls) in the next plan."""
    tasks = json.loads(knowflow.run("plan", "--config", shop.config, "--json").stdout)["tasks"]
    return {one["task"]: (one["cached"], one["new"], one["changed"], one["calls"]) for one in tasks}


def promoted(prompts, version, why="better", *more):
    done = prompts("promote", "kar_item", "--version", f"v{version}", "--why", why, *more)
    assert done.returncode == 0, done.stderr
    return done


def test_a_promoted_prompt_changes_exactly_the_rows_of_its_task_and_going_back_costs_no_call(
    shop, prompts, plain_knowflow
):
    before = planned(plain_knowflow, shop)
    own = shop.folder / "prompts"

    done = promoted(prompts, 3, "shorter", "--by", "Ada")

    after = planned(plain_knowflow, shop)
    assert before["kar_item"] == (12, 0, 0, 0)
    assert after == before | {"kar_item": (0, 0, 12, 12)}
    assert done.stdout.splitlines()[0] == f"kar_item.v3: trial -> live in {own / 'kar_item.v3.md'}"
    # rows, cached, new, changed, failed, calls; then the words of 12 prompts, and 12 answers of at most 160.
    row = done.stdout.splitlines()[-1].split()
    assert row[:7] == ["kar_item", "12", "0", "0", "12", "0", "12"]
    assert row[8] == f"{12 * 160:,}"
    assert "the newest live version was kar_item.v1, and is kar_item.v3; recorded as Ada's" in done.stderr
    shop.ask("kar_item")
    assert planned(plain_knowflow, shop)["kar_item"] == (12, 0, 0, 0)

    back = promoted(prompts, 1, "v3 was no better", "--by", "Ada")

    cached, new, changed, calls = planned(plain_knowflow, shop)["kar_item"]
    assert (cached + new + changed, calls) == (12, 0)
    assert f"kar_item.v3: live -> retired in {own / 'kar_item.v3.md'}" in back.stdout
    asked = len(shop.calls())
    shop.ask("kar_item")
    assert len(shop.calls()) == asked
    assert planned(plain_knowflow, shop) == before


def test_only_the_status_of_the_file_changes(shop, prompts):
    file = shop.folder / "prompts" / "kar_item.v3.md"
    text = file.read_bytes()

    promoted(prompts, 3)

    assert file.read_bytes() == text.replace(b"status: trial", b"status: live")


def test_a_shipped_version_is_copied_and_shadows_ours(shop, prompts):
    done = promoted(prompts, 2)

    copy = shop.folder / "prompts" / "kar_item.v2.md"
    assert f"kar_item.v2: draft -> live in {copy}, a copy that shadows the other file" in done.stdout
    shipped = (FOLDER / "kar" / "kar_item.v2.md").read_bytes()
    assert copy.read_bytes() == shipped.replace(b"status: draft", b"status: live")


def test_the_history_says_when_who_which_why_and_with_which_figures(shop, prompts, tmp_path, monkeypatch):
    figures, settings = tmp_path / "figures.json", tmp_path / "gitconfig"
    figures.write_text('{"probe": {"v1": 0.31, "v3": 0.37}}')
    settings.write_text("[user]\nname = Grace of Git\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    promoted(prompts, 3, "probe 0.37", "--figures", figures)
    settings.write_text("")
    monkeypatch.setenv("LOGNAME", "grace")
    promoted(prompts, 1, "back")
    assert prompts("retire", "kar_item", "--version", 2, "--why", "never", "--by", "Ada").returncode == 0

    acts = json.loads(prompts("history", "kar_item", "--json").stdout)["history"]
    lines = (shop.folder / "prompts" / "history.jsonl").read_text().splitlines()
    shown = prompts("history").stdout.splitlines()

    assert [json.loads(line) for line in lines] == acts
    facts = ("act", "version", "from_version", "to_version", "who", "why")
    assert [tuple(one[name] for name in facts) for one in acts] == [
        ("promote", 3, 1, 3, "Grace of Git", "probe 0.37"),
        ("promote", 1, 3, 1, "grace", "back"),
        ("retire", 2, 1, 1, "Ada", "never"),
    ]
    assert [one["figures"] for one in acts] == [{"probe": {"v1": 0.31, "v3": 0.37}}, None, None]
    assert len(shown) == 2 + 3
    assert shown[2].split()[2:] == ["kar_item.v3", "promote", "v1", "v3", "Grace", "of", "Git", "yes", "probe", "0.37"]
    assert json.loads(prompts("history", "kar_user", "--json").stdout)["history"] == []


def test_faults_stop_a_promotion_unless_it_is_forced(shop, prompts):
    file = shop.folder / "prompts" / "kar_item.v3.md"
    file.write_text(file.read_text().replace("{{ input }}", "It is {{ input }} here"))

    done = prompts("promote", "kar_item", "--version", 3, "--why", "better")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kar_item.v3 has faults:\n  data_delimited: data stands within a sentence")
    assert done.stderr.endswith("  fix them, or promote it all the same: --force\n")
    assert "status: trial" in file.read_text()
    assert not (shop.folder / "prompts" / "history.jsonl").exists()
    promoted(prompts, 3, "better", "--force")
    assert "status: live" in file.read_text()


def test_a_version_that_knowflow_yaml_fixes_stands_in_the_way(shop, prompts):
    shop.configure(tasks={"kar_item": {"prompt_version": 1}})

    other = prompts("promote", "kar_item", "--version", 3, "--why", "better")
    fixed = prompts("retire", "kar_item", "--version", 1, "--why", "worse")

    assert other.returncode == fixed.returncode == 2
    where = "tasks.kar_item.prompt_version in knowflow.yaml fixes version 1"
    assert other.stderr == f"{where}, so 3 would not run\n  remove it, or set it to 3\n"
    assert fixed.stderr.startswith("kar_item.v1 is the only live version, and without one a refresh stops\n")
    shop.configure(tasks={"kar_item": {"prompt_version": 3}})
    assert promoted(prompts, 3).stdout.startswith("kar_item.v3: trial -> live")
    fixed = prompts("retire", "kar_item", "--version", 3, "--why", "worse")
    assert (
        fixed.stderr
        == "tasks.kar_item.prompt_version in knowflow.yaml fixes version 3\n  remove it, or name another version\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "kar_item", "--version", 9, "--why", "x"), "kar_item.v9.md: is not under prompts/"),
        (("promote", "kar_item", "--version", 1, "--why", "x"), "kar_item.v1 is live already"),
        (("promote", "kar_item", "--version", 3, "--why", " "), "--why: is empty"),
        (("promote", "kar_item", "--version", "vx", "--why", "x"), "'vx' is no version"),
        (("retire", "kar_item", "--version", 1, "--why", "x"), "kar_item.v1 is the only live version"),
        (("history", "kar_itm"), "there is no prompt kar_itm"),
    ],
)
def test_wrong_use_is_refused_in_words_and_changes_nothing(shop, prompts, arguments, said):
    before = {path: path.read_bytes() for path in (shop.folder / "prompts").iterdir()}

    done = prompts(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert {path: path.read_bytes() for path in (shop.folder / "prompts").iterdir()} == before


def test_a_prompt_that_no_technique_asks_with_is_promoted_without_a_plan(shop, prompts):
    text = (FOLDER / "llm_cf" / "recgen.v1.md").read_text().replace("version: 1", "version: 2")
    (shop.folder / "prompts" / "recgen.v2.md").write_text(text.replace("status: live", "status: draft"))

    done = prompts("promote", "recgen", "--version", 2, "--why", "shorter")

    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("no technique that knowflow.yaml runs asks with it\n")


def test_an_interrupted_act_is_finished_first_and_said(shop, prompts):
    interrupted(shop, prompts)

    back = promoted(prompts, 1)

    assert "finished first, because it had been interrupted: promote kar_item.v3" in back.stderr
    own = shop.folder / "prompts"
    acts = [json.loads(one) for one in (own / "history.jsonl").read_text().splitlines()]
    assert [(one["version"], one["from_version"]) for one in acts] == [(3, 1), (1, 3)]
    assert not (own / ".promotion.json").exists()


def test_the_same_act_again_after_an_interruption_is_not_refused(shop, prompts):
    interrupted(shop, prompts)

    again = promoted(prompts, 3, "another reason")

    assert "finished first, because it had been interrupted: promote kar_item.v3" in again.stderr
    (line,) = (shop.folder / "prompts" / "history.jsonl").read_text().splitlines()
    assert json.loads(line)["why"] == "better"


def interrupted(shop, prompts):
    """Leave a promotion of version 3 as a kill does right after the act was written down."""
    promoted(prompts, 3)
    own = shop.folder / "prompts"
    (line,) = (own / "history.jsonl").read_text().splitlines()
    (own / ".promotion.json").write_text(line)
    (own / "history.jsonl").unlink()
    (own / "kar_item.v3.md").write_text((own / "kar_item.v3.md").read_text().replace("status: live", "status: trial"))
