"""The demo's pipeline on a shop of the tests' own: what it says, and that a second run costs nothing."""

import json
import subprocess
import sys

import pytest

from app.config import load_config
from cli.demo import CONFIG, whole_pipeline
from tests.command import as_a_command


def test_the_demo_is_the_example_and_keeps_what_it_makes_in_runs():
    config = load_config(CONFIG)

    assert config.home_folder == (CONFIG.parents[2] / "runs" / "demo").resolve()  # it may be a link
    assert config.engine.name == "recorded"


def test_a_wrong_arm_is_told_before_anything_is_asked(plain_knowflow):
    done = plain_knowflow.run("demo", "--arms", "base,knowlege")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no such arm: knowlege\n  there are: ")


FIRST = """
import sys
from pathlib import Path
from cli.demo import whole_pipeline
from cli.prefect_settings import set_defaults
set_defaults()
sys.exit(whole_pipeline(Path(sys.argv[1]), arms="base", json=True))
"""


@pytest.mark.slow(reason="a process that starts a Prefect server of its own, as the demo does, and two trainings")
@pytest.mark.usefixtures("prefect_server")
def test_a_second_run_asks_nothing_and_encodes_nothing_and_says_so(shop, plain_knowflow, monkeypatch, capsys):
    shop.configure(train={"seeds": [0], "rolling": [], "search": [], "trees": {"count": 5, "leaves": 4}})
    shop.write_events([*shop.events(), *((f"v{user}", *event[1:]) for user in range(9) for event in shop.events()[:5])])
    command = [sys.executable, "-c", FIRST, str(shop.config)]
    first = subprocess.run(
        command, env=plain_knowflow.environment, capture_output=True, text=True, timeout=300, check=False
    )
    calls, stored = shop.calls(), shop.store_bytes()
    for name in ("PREFECT_HOME", "PREFECT_RESULTS_LOCAL_STORAGE_PATH", "PREFECT_SERVER_MEMO_STORE_PATH"):
        monkeypatch.setenv(name, "set by the demo, and put back after this test")
    with as_a_command([], shop.folder):
        second = whole_pipeline(shop.config, arms="base")
    printed = capsys.readouterr()

    assert (first.returncode, second) == (0, 0), first.stderr
    made = json.loads(first.stdout)
    home = shop.folder / "runs"
    assert (made["release"], made["train_run"], made["report"]) == (
        "rel-000001",
        "train-000001",
        str(home / "report.html"),
    )
    assert (made["asked"], made["encoded"]) == (
        len(calls),
        sum(len(texts(shop, task)) for task in shop.settings["tasks"]),
    )
    assert shop.calls() == calls
    assert shop.store_bytes() == stored
    assert "release  rel-000001 (0 asked, 0 encoded in this run)\n" in printed.out
    assert printed.out.endswith(f"report   {home / 'report.html'}\n")
    assert not [
        line
        for line in printed.err.splitlines()
        if not line.startswith(("refresh, ", "training ", "intervals", "done in "))
    ]
    assert (home / "prefect" / "prefect.db").is_file()  # the server's own things stay with the demo's


def texts(shop, task: str) -> set[str]:
    return {row["text_key"] for row in shop.lineage(task).values() if row["text_key"]}
