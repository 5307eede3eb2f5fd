"""The example endpoint: a release takes the place of another under load, and no request is lost."""

import http.client
import json
import os
import queue
import runpy
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.kept_models import find_model
from app.samples import open_samples, read_vectors_of
from app.scoring import score_pairs
from app.workplace import open_dataset, open_store
from ctr.compare import train_arm
from ctr.config import TrainConfig
from ctr.kept import ItemFields, keep
from feature_store.database import command_line
from feature_store.releases import get_release, roll_back
from llm_tasks.pipeline.arm import Arm, Use

ROOT = Path(__file__).resolve().parents[2]
CLIENTS, PAUSE = 4, 0.02
"""Clients, and seconds between two requests of one: about 150 requests a second."""
BODY = {"user": "u1", "items": ["i2", "i5", "i8", "nothing"]}
NAME = "item_facts/lexical"
ARM = Arm("facts", "", (Use("similarity", (NAME,)), Use("concat", (NAME,))))


@pytest.fixture
def kept(make_shop):
    """A shop with a release and a kept model that reads its vectors; gives the shop and the model's folder."""
    encoders = {"lexical": {"kind": "lexical", "dimension": 4}}
    shop = make_shop(items=30, users=20, events=12, tasks={"item_facts": {}}, encoders=encoders)
    assert shop.release("item_facts") == "rel-000001"
    config = load_config(shop.config)
    dataset, release = open_dataset(config), get_release(open_store(config))
    samples, vectors = open_samples(config, dataset), read_vectors_of(config, release, [ARM])
    settings = TrainConfig(backbone="din", search=(), seeds=(0,), batch_size=32, epochs=4)
    best = train_arm(ARM, vectors, samples, settings).best
    folder = config.home_folder / "models" / "train-000001" / ARM.name
    keep(folder, ARM, best, samples, release.name, ItemFields.of(dataset))
    return shop, folder


@pytest.fixture
def served(kept, tmp_path):
    """A running server process of the shop; gives its port."""
    shop, model = kept
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--config", shop.config, "--model", model, "--port", port, "--every", "0.2"]
    command = [sys.executable, ROOT / "examples" / "serve" / "server.py", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, env=environment)
        try:
            while process.poll() is None and not listens(port):
                pass
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            yield port
        finally:
            process.terminate()
            process.wait()


def listens(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        threading.Event().wait(0.1)
        return False


@contextmanager
def asking(port, said):
    """Clients that ask until the end; what every one got goes into the queue."""
    ended = threading.Event()

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not ended.wait(PAUSE):
            try:
                connection.request("POST", "/score", json.dumps(BODY), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said.put((answer.status, json.loads(answer.read())))
            except (OSError, http.client.HTTPException) as error:
                said.put((0, {"release": repr(error), "scores": []}))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        ended.set()
        for client in clients:
            client.join()


def until(said, release, got):
    """Take answers until one is of a release; all of them go into `got`."""
    while not got or got[-1][1]["release"] != release:
        got.append(said.get(timeout=240))


@pytest.mark.slow(reason="a real server, which exports the model of two releases, each in a new process")
def test_a_published_release_and_a_rollback_take_over_under_load_and_no_request_is_lost(kept, served):
    shop, folder = kept
    config = load_config(shop.config)
    pairs = pl.DataFrame({"user": [BODY["user"]] * len(BODY["items"]), "item": BODY["items"]})
    said, got = queue.Queue(), []

    with asking(served, said):
        until(said, "rel-000001", got)
        shop.write_items({f"i{place}": f"Thing {place}" if place % 2 else "Ghosts of winter" for place in range(30)})
        assert shop.release("item_facts") == "rel-000002"
        until(said, "rel-000002", got)
        with open_store(config).writer(command_line()) as writer:
            roll_back(writer, "rel-000001")
        until(said, "rel-000001", got)
    got += [said.get() for _ in range(said.qsize())]

    assert {status for status, _ in got} == {200}
    assert len(got) > 10 * CLIENTS
    answers = {release: [one["scores"] for _, one in got if one["release"] == release] for release in set_of(got)}
    model = find_model(config, str(folder))
    for release, scores in answers.items():
        wanted = score_pairs(config, model, pairs, release)["score"].to_numpy()
        np.testing.assert_allclose(np.unique(scores, axis=0), [wanted], atol=1e-5, rtol=0)
    assert set(answers) == {"rel-000001", "rel-000002"}
    assert np.abs(np.subtract(answers["rel-000001"][0], answers["rel-000002"][0])).max() > 1e-4
    connection = http.client.HTTPConnection("127.0.0.1", served, timeout=60)
    connection.request("GET", "/health")
    health = json.loads(connection.getresponse().read())
    assert (health["release"], health["arm"], health["error"]) == ("rel-000001", "facts", None)
    connection.request("POST", "/score", json.dumps({"user": "u1"}), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 422


def set_of(got):
    return {one["release"] for _, one in got}


@pytest.mark.slow(reason="trains a model, and exports it twice, each in a new process")
def test_the_watch_survives_whatever_a_look_meets_and_tries_again(kept, monkeypatch):
    shop, model = kept
    monkeypatch.chdir(ROOT)  # the child process imports the packages from here
    made = runpy.run_path(str(ROOT / "examples" / "serve" / "server.py"))
    current = made["Current"](shop.config, str(model), 0.01)
    releases, aside = current.releases, current.releases.with_suffix(".aside")
    releases.rename(aside)

    current.look()

    assert current.error is not None
    assert "FileNotFoundError" in current.error
    aside.rename(releases)
    current.look()
    assert current.error is None
