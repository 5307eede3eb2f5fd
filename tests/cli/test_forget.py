"""`knowflow forget`: ids from anywhere, a plan first, a receipt, and what lies in the home beside the store."""

import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from people_shop import copy_of, name_of, people_shop

from app.config import load_config
from app.learnt import learnt_from
from feature_store.releases import get_release, list_releases
from feature_store.traces import find_traces
from llm_tasks.cot_examples import event_hashes

USER = name_of(1)


@pytest.fixture
def shop(made_once, shop_builder, tmp_path):
    return copy_of(made_once("people", partial(people_shop, shop_builder)), tmp_path)


def test_a_plan_comes_first_and_yes_does_it_and_a_second_time_finds_nothing(shop, plain_knowflow):
    config = ["--config", shop.config]
    before = shop.store_bytes()

    planned, same = plain_knowflow.run("forget", USER, *config), shop.store_bytes() == before
    done = plain_knowflow.run("forget", USER, "--yes", *config)
    again = plain_knowflow.run("forget", USER, "--json", *config)
    plan = plain_knowflow.run("plan", "--json", *config)

    assert (planned.returncode, done.returncode, again.returncode, same) == (0, 0, 0, True)
    assert "circles: 1 row\nkar_user: 2 rows\n" in planned.stdout
    assert "1 row about others, whose prompts quoted them: asked anew" in planned.stdout
    assert "releases that go on with them: rel-000001, rel-000002" in planned.stdout
    assert "events.parquet holds 5 rows of theirs" in planned.stdout
    assert "1 user; nothing was changed" in planned.stderr
    assert done.stdout.startswith("1 user forgotten: 3 rows, 6 answers\nsearched ")
    assert json.loads(again.stdout)["rows"] == {}
    assert [task["calls"] for task in json.loads(plan.stdout)["tasks"]] == [0, 0, 1]
    assert "events.parquet: left out 5 rows of 1 user who asked to be forgotten" in plan.stderr
    receipt = json.loads(Path(done.stdout.split("receipt  ")[1].strip()).read_text())
    assert len(receipt["users"][0]) == 64
    assert USER not in json.dumps(receipt)
    assert receipt["search"]["files"] > 20


@pytest.mark.parametrize("how", ["file", "-", "--file -"])
def test_ids_come_from_a_file_or_from_standard_input_too(shop, plain_knowflow, tmp_path, monkeypatch, how):
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{USER}\n\n{name_of(2)}\n")
    if how != "file":
        monkeypatch.setattr(sys, "stdin", ids.open())

    words = ["--file", ids] if how == "file" else how.split()
    done = plain_knowflow.run("forget", *words, name_of(3), "--json", "--config", shop.config)

    assert json.loads(done.stdout)["rows"] == {"circles": 2, "kar_user": 6}


def test_wrong_use_is_said_in_words(shop, plain_knowflow, tmp_path):
    nobody = plain_knowflow.run("forget", "--config", shop.config)
    no_file = plain_knowflow.run("forget", "--file", tmp_path / "none", "--config", shop.config)
    typo = plain_knowflow.run("forget", USER, "--yess", "--config", shop.config)

    assert (nobody.returncode, no_file.returncode, typo.returncode) == (2, 2, 2)
    assert "--yess is no option" in typo.stderr
    assert "nobody is named\n  name users by their ids" in nobody.stderr
    assert "none cannot be read" in no_file.stderr


def test_what_cannot_be_cleaned_is_named_and_the_exit_code_says_it(shop, plain_knowflow):
    strange = shop.folder / "runs" / "export.bin"
    strange.write_bytes(b"\0\1" + USER.encode() + b"\0")
    config = ["--config", shop.config]

    left = plain_knowflow.run("forget", USER, "--yes", *config)
    strange.unlink()
    done = plain_knowflow.run("forget", "--yes", *config)  # what was begun says who

    assert (left.returncode, done.returncode) == (1, 0)
    assert "1 files of" in left.stderr
    assert "export.bin (bytes)" in left.stderr
    assert not (shop.folder / "runs" / "store" / "forgetting").exists()


def test_files_beside_the_store_lose_them(shop, plain_knowflow):
    home = shop.folder / "runs"
    for folder in ("train/train-000001", "models/train-000001/base", "simulations", "prefect", "store/damaged/then"):
        (home / folder).mkdir(parents=True)
    (home / "models/train-000001/base/model.json").write_text(json.dumps({"frame": {"user_ids": [name_of(0), USER]}}))
    (home / "train/train-000001/llm-cf.json").write_text(json.dumps({"shown": {"samples": [{"user": USER}]}}))
    (home / "train/train-000001/base.log").write_text(f"something about {USER}\n")
    (home / "report.json").write_text(json.dumps({"training": {"samples": [{"examples": [{"user": USER}]}]}}))
    (home / "report.html").write_text("<p>the page</p>")
    (home / "similar.html").write_text("<p>another page</p>")
    (home / "prefect" / "prefect.db").write_text(f"{USER}")
    (home / "store/damaged/then/answers.journal").write_text(f"{USER}")
    (home / "train/train-000002/inputs").mkdir(parents=True)
    (home / "loaded" / ("a" * 64)).mkdir(parents=True)
    pl.DataFrame({"user": [USER, name_of(0)]}).write_parquet(home / "loaded" / ("a" * 64) / "events.parquet")
    (home / "planned").mkdir()
    (home / "planned" / "kar_user.0.parquet").write_bytes(b"the hash of a user")
    np.save(home / "train/train-000002/inputs/user_ids.npy", np.array([name_of(0), USER]))
    rows = pl.DataFrame({"agent": [f"agent/{USER}", f"agent/{name_of(2)}"], "item": ["i1", "i2"]})
    rows.write_parquet(home / "simulations" / "base.parquet")

    rows = shop.place().dataset.events.with_columns(event_hashes(shop.place().dataset.events).alias("key"))
    rows.select("key", label=pl.lit(1.0), user=pl.lit(3)).write_parquet(home / "train/train-000001/rows.parquet")

    planned = plain_knowflow.run("forget", USER, "--config", shop.config)
    assert list((home / "texts").iterdir())  # of the first refresh
    done = plain_knowflow.run("forget", USER, "--yes", "--config", shop.config)

    assert done.returncode == 0, done.stderr
    assert "report.html: is deleted; write it again: knowflow report" in planned.stdout
    assert "simulations/base.parquet: loses 1 rows" in planned.stdout
    assert "kept model train-000001/base may have learnt from them" in planned.stdout
    assert "knowflow train --arms base" in done.stderr
    users = json.loads((home / "models/train-000001/base/model.json").read_text())["frame"]["user_ids"]
    assert (users[0], len(users)) == (name_of(0), 2)
    assert json.loads((home / "train/train-000001/llm-cf.json").read_text()) == {"shown": {"samples": []}}
    assert pl.read_parquet(home / "simulations" / "base.parquet")["item"].to_list() == ["i2"]
    keys = pl.read_parquet(home / "train/train-000001/rows.parquet")["key"]
    assert len(keys) == 20
    assert [new == old for new, old in zip(keys, rows["key"], strict=True)] == [user != USER for user in rows["user"]]
    there = {path.name for path in home.rglob("*")}
    assert there & {"report.html", "base.log", "prefect", "damaged", "inputs", "loaded", "planned", "texts"} == set()
    assert {"similar.html", "report.json"} <= there
    assert not any(USER.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_what_is_tuned_on_events_from_their_first_one_on_may_have_learnt_from_them(shop):
    adapter, encoder = shop.folder / "adapter", shop.folder / "runs" / "encoders" / "note"
    for folder, seen in ((adapter, "2024-01-01T00:02:00+00:00"), (encoder, "2023-12-31T00:00:00+00:00")):
        folder.mkdir(parents=True)
        (folder / "knowflow_tuning.json").write_text(json.dumps({"seen_until": seen}))
    (adapter / "adapter_config.json").write_text("{}")
    shop.configure(tasks={**shop.settings["tasks"], "kar_item": {"adapter": {"name": "a", "path": "adapter"}}})
    config, store = load_config(shop.config), shop.place().store
    traces = find_traces(store, {USER})

    def learnt(first):
        return [one.what for one in learnt_from(config, store, traces, first)]

    assert learnt(datetime(2024, 1, 1, tzinfo=UTC)) == [f"adapter of kar_item: {adapter}"]
    assert learnt(datetime(2024, 1, 1, 1, tzinfo=UTC)) == []
    assert learnt(None) == [f"encoder: {encoder}", f"adapter of kar_item: {adapter}"]


def test_somebody_in_examples_shown_to_others_leaves_run_report_and_pool(reasoned, plain_knowflow):
    home, store = reasoned.folder / "runs", reasoned.place().store
    run = json.loads((home / "train/train-000001/llm-cf.json").read_text())
    shown = [example for sample in run["shown"]["samples"] for example in sample["examples"]]
    user = next(one["user"] for one in shown if one["user"] not in {two["user"] for two in run["shown"]["samples"]})
    texts = {row["text"] for row in reasoned.lineage("cot_examples").values() if row["entity"].startswith(f'["{user}"')}
    pages = [path for path in home.glob("report.*") if any(text.encode() in path.read_bytes() for text in texts)]
    others = {
        key for key, row in reasoned.lineage("cot_examples").items() if not row["entity"].startswith(f'["{user}"')
    }
    assert pages == [home / "report.html"]

    done = plain_knowflow.run("forget", user, "--yes", "--json", "--config", reasoned.config)
    written = [path.exists() for path in pages]
    (home / "prefect").mkdir(exist_ok=True)

    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert receipt["removed"]["rows"] == {"cot_examples": len(texts)}
    assert "kept model train-000001/llm-cf" in [one["what"] for one in receipt["has_learnt"]]
    assert written == [False]
    assert reasoned.lineage("cot_examples").keys() == others
    left = json.loads((home / "train/train-000001/result.json").read_text())["training"]["llm-cf"]["shown"]["samples"]
    assert user not in {example["user"] for sample in left for example in sample["examples"]}
    assert len(left) == len(run["shown"]["samples"])
    assert [one.name for one in list_releases(store)] == ["rel-000001"]
    assert get_release(store).facts["gates"]

    from app.report import write_report

    page = write_report(load_config(reasoned.config), None).read_text()  # the run can still be reported

    assert not any(text in page for text in texts)
    listed = plain_knowflow.run(
        "examples", "--user", shown[0]["user"], "--item", "i1", "--json", "--config", reasoned.config
    )
    assert listed.returncode == 0, listed.stderr
    assert user not in {one["user"] for one in json.loads(listed.stdout)["examples"]}
