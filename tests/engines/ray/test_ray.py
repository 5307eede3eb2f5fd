"""Real Ray: equal tables, and kills of an actor, of a machine and of the command: `make test-libraries`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from feature_store.answers import known_answers, read_answers
from feature_store.database import Store
from tests.conftest import HELPERS, ROOT

MINUTES = "installs Ray into an environment of its own, and starts a cluster for each test"
pytestmark = [pytest.mark.libraries(reason=MINUTES), pytest.mark.slow(reason=MINUTES), pytest.mark.timeout(900)]
SLOW = {"name": "scripted:ScriptedEngine", "model": "scripted", "revision": "1", "options": {"seconds": 0.05}}


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """An environment with Ray over this one, or that in the folder KNOWFLOW_ENVIRONMENTS; gives its Python."""
    given = os.environ.get("KNOWFLOW_ENVIRONMENTS")
    folder = Path(given) / "ray" if given else tmp_path_factory.mktemp("environments") / "ray"
    if not folder.is_dir():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "these.pth").write_text(str(Path(pytest.__file__).resolve().parents[1]) + "\n")
        locked = ("--no-deps", "--require-hashes", "--requirement", ROOT / "requirements-ray.lock")
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *locked], check=True)
    return folder / "bin" / "python"


def start(python: Path, *words: object) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(HELPERS)])
    return subprocess.Popen(
        [python, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(python: Path, shop, executor: str, *tasks: str) -> tuple[int, str]:
    process = start(python, HELPERS / "on_ray.py", shop.config, executor, *tasks)
    said = process.communicate(timeout=600)[0]
    return process.returncode, said


def finished(process: subprocess.Popen[str]) -> None:
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said


def table(shop, name: str) -> pl.DataFrame:
    """A whole table without the times of the clock, in the order of its texts."""
    import lance

    rows = pl.from_arrow(lance.dataset(str(shop.folder / "runs" / "store" / f"{name}.lance")).to_table())
    assert isinstance(rows, pl.DataFrame)
    rows = rows.drop("created_at", strict=False)
    return rows.sort([column for column in rows.columns if rows[column].dtype == pl.String])


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    """Wait until something is true while a process runs."""
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "nothing happened for five minutes"
        time.sleep(0.05)


def gave(shop) -> int:
    return len(shop.calls("gave"))


def actors(parent: int) -> list[psutil.Process]:
    found = psutil.Process(parent).children(recursive=True)
    return [one for one in found if one.is_running() and one.name().startswith("ray::Worker")]


def answered_once(shop, rows: int) -> None:
    store = Store(shop.folder / "runs" / "store")
    answers = read_answers(store, known_answers(store), ["key", "text"])
    assert len(answers) == answers["key"].n_unique() == rows
    assert answers["text"].null_count() == 0
    assert len(shop.lineage("kar_item")) == rows


def test_tables_are_those_of_the_executor_local(make_shop, python):
    plugins = [str(ROOT / "benchmarks" / "own_data_engine")]
    encoders = {"lexical": {"kind": "lexical", "dimension": 4}, "dense": {"kind": "dense"}}
    given = {"plugins": plugins, "engine": {"name": "echo", "model": "echo"}, "encoders": encoders}
    shops = {name: make_shop(60, 20, name=name, **given, executor={"rows_a_block": 8}) for name in ("local", "ray")}

    for name, shop in shops.items():
        code, said = run(python, shop, name, "kar_item", "kar_user")
        assert code == 0, said

    for name in ("answers", "lineage", "encoder_states", "vectors_lexical_4.kar_item", "vectors_lexical_4.kar_user"):
        assert table(shops["ray"], name).equals(table(shops["local"], name)), name
    for task, rows in (("kar_item", 60), ("kar_user", 40)):
        ours, theirs = (table(shops[name], f"vectors_dense_384.{task}") for name in ("local", "ray"))
        assert ours.drop("vector").equals(theirs.drop("vector"))
        assert len(ours) == rows
        # The neighbours in a batch, and so the padding, differ: the last digit of 16-bit numbers may
        np.testing.assert_allclose(ours["vector"].to_numpy(), theirs["vector"].to_numpy(), atol=2.5e-4)


def test_a_block_of_an_actor_that_is_killed_is_answered_by_another(make_shop, python):
    shop = make_shop(120, engine=SLOW, executor={"rows_a_block": 10}, encoders={})
    process = start(python, HELPERS / "on_ray.py", shop.config, "ray", "kar_item")

    wait_for(lambda: gave(shop) >= 25, process)
    first = actors(process.pid)
    first[0].send_signal(signal.SIGKILL)
    finished(process)

    assert len(first) == 2
    answered_once(shop, 120)
    assert 0 < len(shop.calls("asked")) - 120 <= 20  # at most what that actor had: one block, and one that waited


def test_after_a_kill_of_the_command_the_same_command_goes_on_and_no_process_stays(make_shop, python):
    shop = make_shop(120, engine=SLOW, executor={"rows_a_block": 10}, encoders={})
    process = start(python, HELPERS / "on_ray.py", shop.config, "ray", "kar_item")
    wait_for(lambda: gave(shop) >= 45, process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=180)  # two of Ray's own agents wait for a minute
    before = len(shop.calls("asked"))

    code, said = run(python, shop, "ray", "kar_item")

    assert alive == []
    assert code == 0, said
    answered_once(shop, 120)
    assert len(shop.calls("asked")) - before <= 100  # some of the first blocks were kept


def test_after_the_death_of_a_machine_the_others_answer_its_blocks(make_shop, python):
    nodes = start(python, HELPERS / "ray_nodes.py")
    try:
        assert nodes.stdout is not None
        while ":" not in (line := nodes.stdout.readline()) or len(line.split()) != 2:
            assert line, "no cluster"
        address, raylet = line.split()
        executor = {"address": address, "actors": 2, "cpus": 0.5, "rows_a_block": 10}
        shop = make_shop(120, engine=SLOW, executor=executor, encoders={})
        process = start(python, HELPERS / "on_ray.py", shop.config, "ray", "kar_item")
        wait_for(lambda: gave(shop) >= 25, process)
        os.kill(int(raylet), signal.SIGKILL)
        finished(process)
        assert nodes.poll() is None  # a cluster that is not ours is left as it is
    finally:
        nodes.communicate(timeout=120)

    answered_once(shop, 120)


def test_faults_of_an_engine_are_what_they_are_locally(make_shop, python):
    said = {}
    for name in ("local", "ray"):
        rules = {"Thing 1": "error:refused", "Thing 30": "raise"}
        shop = make_shop(40, name=name, engine={**SLOW, "options": {}}, executor={"rows_a_block": 8}, encoders={})
        shop.configure(rules=rules)
        code, text = run(python, shop, name, "kar_item")
        assert code == 1, text
        said[name] = text.strip().splitlines()[-2:]

    assert said["ray"][0].split(" calls: ")[1] == said["local"][0].split(" calls: ")[1]
    assert said["ray"][1] == said["local"][1]


def test_a_cluster_that_is_too_small_is_said_before_anything_is_asked(make_shop, python):
    shop = make_shop(executor={"actors": 3, "cpus": 1_000}, encoders={})

    code, said = run(python, shop, "ray", "kar_item")

    assert code == 1, said
    assert "executor: 3 actors of 1000 CPUs and 0 GPUs take 3000 CPUs" in said
    assert shop.calls() == []
