"""What each command prints: for people, and as one JSON object for scripts."""

import json
import re
import subprocess
import sys
from datetime import timedelta

import pytest

from feature_store.releases import list_releases


def only_object(text: str) -> dict:
    """The one JSON object that standard output holds."""
    content = json.loads(text)
    assert isinstance(content, dict)
    return content


@pytest.fixture
def twice_released(shop):
    """The shop with two releases, made as the refresh makes them but without a server."""
    from feature_store.releases import publish

    for number in (1, 2):
        if number == 2:
            shop.write_items({f"i{place}": f"Thing {place}" for place in range(13)})
        for task in ("kar_item", "item_facts"):
            shop.ask(task)
        with shop.place().store.writer("a test") as writer:
            publish(writer, {"tasks": ["item_facts", "kar_item"], "data_version": "d" * 64, "model": "scripted"})
    return shop


def test_every_command_prints_one_json_object_and_nothing_else(compared, knowflow):
    config = ["--config", str(compared.config), "--json"]
    keys = {
        ("plan",): {"tasks", "encoding", "split", "notes"},
        ("refresh",): {"release", "new", "pinned", "tasks"},
        ("report",): {"report", "train_run", "conclusion"},
        ("leak-check",): {
            "release",
            "rows",
            "checked",
            "scope",
            "texts",
            "samples",
            "pairs",
            "leaks",
            "counter_examples",
            "undated",
        },
        ("status",): {"store", "release", "pinned", "releases", "tasks", "train_run", "models", "report"},
        ("release", "list"): {"releases"},
        ("release", "show", "rel-000001"): {"name", "created_at", "rolled_back_to", "versions", "facts"},
    }

    found = {}
    for arguments, names in keys.items():
        done = knowflow.run(*arguments, *config)
        assert done.returncode == 0, done.stderr
        found[arguments[-1]] = only_object(done.stdout)
        assert set(found[arguments[-1]]) == names
    assert found["refresh"] == {"release": "rel-000001", "new": False, "pinned": False, "tasks": []}
    assert found["report"]["conclusion"].startswith("By the configured split: ")
    assert (found["leak-check"]["leaks"], found["leak-check"]["samples"]) == (0, 800)
    assert (found["status"]["release"], found["status"]["train_run"]) == ("rel-000001", "train-000001")
    assert found["list"]["releases"] == [found["rel-000001"]]
    assert {gate["holds"] for gate in found["rel-000001"]["facts"]["gates"]} == {True}


def test_a_plan_tells_numbers_reasons_cost_and_what_comes_next(shop, plain_knowflow):
    shop.configure(rules={"Thing 3": "refused"}, prices={"output_per_million": 1000.0, "currency": "EUR"})
    shop.ask("kar_item")
    shop.write_items({f"i{place}": f"Thing {place}" if place else "Gadget" for place in range(14)})

    done = plain_knowflow.run("plan", "--config", str(shop.config), "--task", "kar_item", "--task", "kar_user")

    head, columns, *rows = done.stdout.splitlines()
    rows, parts = rows[: rows.index("split (set to 80/10/10%)")], rows[rows.index("split (set to 80/10/10%)") + 1 :]
    place = rows.index("to encode (each row to ask is counted as one new text)")
    rows, encoding = rows[:place], [row.split() for row in rows[place + 2 :]]
    assert done.returncode == 0
    assert [row.split()[0] for row in parts] == ["part", "train", "validation", "test"]
    assert sum(int(row.split()[1]) for row in parts[1:]) == len(shop.events())
    assert "note: validation has 0 rows with 0 positives: too few to choose settings by\n" in done.stderr
    assert head == "plan (nothing is written)"
    names = "task|rows|cached|new|changed|failed|calls|tokens in|out, at most|out, estimate"
    assert re.split("  +", columns) == names.split("|")
    cells = {row.split()[0]: row.split()[1:] for row in rows}
    # 14 items: 10 as before, 2 new, 1 with another title, 1 refused; 4 users with 2 snapshots each, none asked so far
    assert cells["kar_item"][:6] == ["14", "10", "2", "1", "1", "3"]
    assert cells["kar_user"][:6] == ["8", "0", "8", "0", "0", "8"]
    assert len(cells["kar_item"]) == len(cells["kar_user"]) + 1  # which has not run yet, so nothing can be estimated
    # nothing is encoded so far: 10 + 2 + 1 of the items, and all of the users
    texts = [("kar_item", "13"), ("kar_user", "8")]
    assert encoding == [[name, "lexical", count, "not", "measured", "yet"] for name, count in texts]
    bound = sum(int(row[7].replace(",", "")) for row in cells.values())
    assert f"at most {bound / 1000:,.2f} EUR\n" in done.stderr
    assert "  kar_item: 2 rows " in done.stderr
    assert "  kar_item: 1 row " in done.stderr
    assert done.stderr.endswith(f"next: knowflow refresh --task kar_item --task kar_user --config {shop.config}\n")


def test_before_anything_was_made_status_and_the_list_say_what_to_run_and_make_no_folder(shop, plain_knowflow):
    config = ["--config", str(shop.config)]

    status, listed = plain_knowflow.run("status", *config), plain_knowflow.run("release", "list", *config)

    assert status.returncode == listed.returncode == 0
    assert status.stdout == (
        f"store            {shop.folder / 'runs' / 'store'}\n"
        "current release  none; make one: knowflow refresh\n"
        "newest training  none; make one: knowflow train\n"
        "kept models      none; make some: knowflow train\n"
        "report           none; make one: knowflow report\n"
    )
    assert listed.stderr == "nothing has been released yet; make one: knowflow refresh\n"
    assert not (shop.folder / "runs").exists()


def test_status_imports_only_what_a_look_at_the_store_takes(twice_released):
    code = (
        "import sys\n"
        "from cli.status import status\n"
        f"status(config={str(twice_released.config)!r})\n"
        "print([name for name in ('polars', 'lancedb', 'torch', 'prefect', 'app.config', 'ctr') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_status_reads_where_the_store_is_and_tells_all_faults_if_that_is_wrong(twice_released, plain_knowflow):
    fine = twice_released.config.read_text(encoding="utf-8")
    other = twice_released.config.with_name("other.yaml")

    other.write_text(fine + "\ntrian: {}\n", encoding="utf-8")  # no business of this command
    assert plain_knowflow.run("status", "--config", str(other)).returncode == 0
    other.write_text(fine.replace("home:", "was:") + "\nhome: .\ntrian: {}\n", encoding="utf-8")
    done = plain_knowflow.run("status", "--config", str(other))
    other.unlink()

    assert done.returncode == 2
    assert "trian" in done.stderr
    assert "holds knowflow.yaml itself" in done.stderr


def test_status_counts_the_knowledge_there_is(twice_released, plain_knowflow):
    twice_released.configure(rules={"Thing 14": "refused"})
    twice_released.write_items({f"i{place}": f"Thing {place}" for place in range(15)})
    twice_released.ask("kar_item")
    twice_released.ask("kar_user")

    done = plain_knowflow.run("status", "--config", str(twice_released.config))

    lines = done.stdout.splitlines()
    assert lines[1] == "current release  rel-000002"
    assert [re.split("  +", line) for line in lines[5:]] == [
        ["knowledge by task"],
        ["task", "newest as_of", "rows", "entities", "without text"],
        ["item_facts", "any time", "13", "13", "0"],
        ["kar_item", "any time", "15", "15", "1"],
        ["kar_user", "2024-01-01", "8", "4", "0"],
    ]


def test_a_roll_back_makes_an_older_release_current_and_deletes_nothing(twice_released, plain_knowflow):
    config = ["--config", str(twice_released.config)]

    done = plain_knowflow.run("release", "rollback", "rel-000001", *config)
    listed, shown = (
        plain_knowflow.run("release", "list", *config),
        plain_knowflow.run("release", "show", "rel-000003", *config),
    )

    releases = list_releases(twice_released.place().store)
    assert done.returncode == 0
    assert done.stderr == (
        "rel-000003 is current now, pinned, and points to the tables of rel-000001\n"
        "to let refresh publish again: knowflow release unpin rel-000003\n"
    )
    assert releases[2].versions == releases[0].versions
    rows = [re.split("  +", line) for line in listed.stdout.splitlines()]
    assert [row[0] for row in rows] == [
        "releases, the last one is current",
        "name",
        "rel-000001",
        "rel-000002",
        "rel-000003",
    ]
    assert rows[4][2:] == ["rel-000001", "yes", "item_facts, kar_item"]
    assert shown.stdout.startswith(
        f"rel-000003, made {releases[2].created_at:%Y-%m-%d %H:%M:%S} UTC, points to the tables of rel-000001, pinned\n"
    )
    assert "data dddddddddddd   model scripted\n" in shown.stdout


def test_a_refresh_tells_what_it_did_and_a_second_one_that_nothing_is_new(shop, knowflow):
    shop.configure(rules={"Thing 3": "refused"}, tasks={"kar_item": {}, "item_facts": {}})
    config = ["--config", str(shop.config)]

    first, second = knowflow.run("refresh", *config), knowflow.run("refresh", *config)

    head, columns, *rows = [re.split("  +", line) for line in first.stdout.splitlines()]
    assert first.returncode == second.returncode == 0, first.stderr
    assert head == ["released rel-000001"]
    assert columns == [
        "task",
        "rows",
        "cached",
        "calls",
        "answered",
        "without text",
        "tokens in",
        "from cache",
        "tokens out",
    ]
    assert [row[:6] for row in rows] == [
        ["kar_item", "12", "0", "12", "11", "1"],
        ["item_facts", "12", "0", "0", "0", "0"],
    ]
    assert "asking kar_item: 12 of 12, " in first.stderr
    assert "  kar_item: 1 row without text: refused\n" in first.stderr
    assert first.stderr.endswith(f"next: knowflow train --config {shop.config}\n")
    assert (second.stdout, second.stderr) == (
        "",
        "nothing is new, 0 asked, 0 encoded: rel-000001 stays the current release\n",
    )


def test_training_prints_the_tables_the_conclusion_and_what_comes_next(compared, knowflow):
    user, item, time, rating = compared.events()[-1]
    compared.write_events([*compared.events(), (user, item, time + timedelta(hours=1), rating)])

    done = knowflow.run("train", "--config", str(compared.config), "--arms", "base,facts")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("split (set to ")
    lines = done.stdout[done.stdout.index("\nconfigured split: arms") :].splitlines()
    assert lines[1] == "configured split: arms on all test rows: mean over seeds"
    assert "rolling time: arms on all test rows: mean over seeds" in lines
    assert [line.split()[0] for line in lines[2:6]] == ["arm", "constant", "base", "facts"]
    whose = "95% intervals: 81 rows, 40 users, the largest with 3.7% of the rows"
    assert lines[7] == f"configured split: AUC gains on all test rows, {whose}"
    assert re.split("  +", lines[8]) == ["arm", "against base", "against facts"]
    assert re.match(r"facts +[+-]0\.\d{4} \[[+-]0\.\d{4}, [+-]0\.\d{4}\]$", lines[10])
    nothing = "only control arms were trained, so nothing can be said about knowledge."
    assert lines[-6:] == [
        f"By the configured split: {nothing}",
        f"By rolling time (2 cuts): {nothing}",
        "No gain holds in both.",
        "test rows were looked at 1 time",  # the data has changed since the first run, so its rows are others
        "training run train-000002",
        f"models       {compared.folder / 'runs' / 'models' / 'train-000002'}",
    ]
    assert re.search(r"^training facts: 6 of 6, \d+ s$", done.stderr, re.MULTILINE)
    assert done.stderr.endswith(f"next: knowflow report --config {compared.config}\n")
    assert not [
        line for line in done.stderr.splitlines() if not line.startswith(("training ", "intervals: ", "next: "))
    ]
