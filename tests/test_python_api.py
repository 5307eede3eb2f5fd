"""`import knowflow as kf`: its examples run, its import is quick, its errors are those of the command line."""

import asyncio
import doctest
import json
import shutil
import subprocess
import sys
import warnings
from contextlib import chdir
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import knowflow as kf
from sources.faults import SourceFaults
from tests.conftest import build_shop

ROOT = Path(__file__).resolve().parents[1]


FLOWS = {"knowflow.Project.refresh", "knowflow.Project.score", "knowflow.Project.train"}
"""Examples that run a flow, and so take longer."""
EXAMPLES = {test.name: test for test in doctest.DocTestFinder().find(kf, "knowflow") if test.examples}


def release_things(folder: Path) -> None:
    """Twelve things and forty people, with answers about both and vectors of them in a release."""
    encoders = {"dense": {"kind": "dense"}, "lexical": {"kind": "lexical", "dimension": 4}}
    train = {"batch_size": 64, "rolling": [], "search": [], "backbone": "lr", "seeds": [0]}
    shop = build_shop(folder / "shop", users=40, events=8, encoders=encoders, train=train)
    shop.release("kar_item", "kar_user", "item_facts")


@pytest.fixture(scope="module")
def things(made_once):
    """The folder of a shop of things; only read from it."""
    return made_once("things", release_things)


def run_example(name: str, folder: Path) -> doctest.TestResults:
    test = EXAMPLES[name]
    test.globs = {**vars(kf), "pl": pl, "shop": kf.open(folder / "shop" / "knowflow.yaml")}
    with chdir(folder):
        return doctest.DocTestRunner().run(test, clear_globs=False)


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - FLOWS))
def test_every_example_of_the_module_gives_what_it_says(name, things):
    assert run_example(name, things).failed == 0


@pytest.mark.slow(reason="runs two flows, one of which trains two arms in processes of their own")
def test_the_examples_that_run_flows_give_what_they_say(things, tmp_path, prefect_server):
    shutil.copytree(things / "shop", tmp_path / "shop")

    assert [run_example(name, tmp_path).failed for name in sorted(FLOWS)] == [0, 0, 0]


def test_every_method_has_an_example():
    public = [name for name in vars(kf.Project) if not name.startswith("_") and name not in ("path", "progress")]

    assert {f"knowflow.Project.{name}" for name in public} <= set(EXAMPLES)
    assert "knowflow.open" in EXAMPLES


def test_importing_it_imports_none_of_the_large_libraries():
    large = {"polars", "numpy", "torch", "prefect", "pydantic", "lancedb", "yaml"}
    code = f"import sys, knowflow; print(sorted(set(sys.modules) & {large}))"

    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"


def test_it_answers_as_the_command_line_does(things, plain_knowflow):
    config = things / "shop" / "knowflow.yaml"
    shop = kf.open(config)
    said = {
        name: json.loads(plain_knowflow.run(name, text, "--config", config, "--json").stdout)
        for name, text in {"search": "thing 3", "similar": "Thing 3", "rewrite": "cats"}.items()
    }

    assert shop.search("thing 3").to_dicts() == [
        {name: one[name] for name in ("item", "title", "by_words", "by_vectors")} for one in said["search"]["items"]
    ]
    assert shop.similar("Thing 3").to_dicts() == said["similar"]["similar"]
    assert shop.rewrites("cats")["why"][0] == said["rewrite"]["why"]


def test_rows_of_other_libraries_are_taken_too(things):
    shop, rows = kf.open(things / "shop" / "knowflow.yaml"), pl.DataFrame({"user": ["u1"], "item": ["i7"], "n": [1]})
    made = shop.features(rows)

    assert made.height == 1
    assert shop.features(rows.lazy()).equals(made)
    assert shop.features(rows.to_arrow()).equals(made)
    assert shop.features(rows.to_arrow().to_reader()).equals(made)
    twice = pa.table([["u1"], ["u2"], ["i1"]], names=["user", "user", "item"])
    for table in (twice, twice.to_reader(), twice.to_batches()[0]):
        with pytest.raises(kf.WrongUse, match=r"rows: columns share a name: 'user' \(2 times\)"):
            shop.features(table)
    with pytest.raises(kf.WrongUse, match="dict is no table"):
        shop.features({"user": ["u1"]})


def test_rows_without_a_column_of_times_are_warned_of_where_they_are_given(things):
    shop, rows = kf.open(things / "shop" / "knowflow.yaml"), pl.DataFrame({"user": ["u1"], "item": ["i7"]})

    with pytest.warns(UserWarning, match="1 row without a time(.|\n)*if one of user, item, tme holds") as told:
        shop.features(rows.with_columns(tme=pl.lit("2020-01-01")))

    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shop.features(rows.with_columns(time=pl.lit(None, pl.String)))  # it is said that there is none


def test_a_plan_has_one_row_a_technique_with_its_cost(make_shop):
    shop = make_shop(tasks={"kar_item": {}, "item_facts": {}}, prices={"input_per_million": 10.0})

    planned = kf.open(shop.config).plan()

    assert planned["task"].to_list() == ["kar_item", "item_facts"]
    asked = planned.row(0, named=True)
    assert (asked["rows"], asked["new"], asked["calls"]) == (12, 12, 12)
    assert asked["cost_at_most"] == pytest.approx(asked["input_tokens"] * 10 / 1e6)
    assert not (shop.folder / "runs").exists()


def test_knowledge_is_what_a_sample_at_a_moment_would_have_seen(things):
    shop = kf.open(things / "shop" / "knowflow.yaml")
    everything = shop.knowledge("user", "u7")
    newest = everything["as_of"].max()

    assert set(everything["task"]) == {"kar_user"}
    assert everything["answer"].str.len_chars().min() > 0
    assert shop.knowledge("user", "u7", as_of=newest.replace(tzinfo=None))["as_of"].max() < newest
    assert shop.knowledge("item", "i7", tasks=["item_facts"])["text"].to_list() == ["Thing 7"]


TWICE = pa.table([["u1"], ["u2"], ["i1"]], names=["user", "user", "item"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda shop: shop.similar("No Such Thing"), "no item has this id or title"),
        (lambda shop: shop.release("rel-000099"), "there is no release 'rel-000099'"),
        (lambda shop: shop.plan(["kar_itme"]), "kar_item"),
        (lambda shop: shop.knowledge("item", "nothing"), "holds no text about the item 'nothing'"),
        (lambda shop: shop.train(["nonsense"]), "nonsense"),
        (lambda shop: shop.features(pl.DataFrame({"usr": ["u1"]})), "user"),
        (lambda shop: shop.score(pl.DataFrame({"user": ["u1"], "item": ["i1"]})), "train first: knowflow train"),
        (lambda shop: shop.refresh(max_cost=1.0), "sets no prices"),
        (lambda shop: shop.refresh(engine="recorded", executor="ray"), "ray is not installed"),
        (lambda shop: shop.similar("Thing 3", k=0), "give a number from 1 on"),
        (lambda shop: shop.search("thing 3", k=-1), "give a number from 1 on"),
        (lambda shop: shop.features(TWICE), r"columns share a name: 'user' \(2 times\)"),
    ],
)
def test_wrong_use_is_reported_as_the_command_line_does(things, call, words):
    with pytest.raises(kf.WrongUse, match=words):
        call(kf.open(things / "shop" / "knowflow.yaml"))


def test_all_faults_of_the_file_are_reported_when_it_is_opened(shop):
    shop.configure(domian="films", gates={"coverage": 3})

    with pytest.raises(SourceFaults) as caught:
        kf.open(shop.config)

    assert len(caught.value.faults) == 2
    with pytest.raises(kf.WrongUse, match="there is no such file"):
        kf.open(shop.folder / "nothing.yaml")


def test_it_runs_flows_inside_a_notebook_s_event_loop_and_reports_progress(make_shop, prefect_server):
    shop, steps = make_shop(items=6, tasks={"kar_item": {}}), []

    async def cell():
        return kf.open(shop.config, lambda what, done, total: steps.append((what, done, total))).refresh()

    first = asyncio.run(cell())

    assert (first.name, len(shop.calls())) == ("rel-000001", 6)
    assert any(done == total == 6 for _, done, total in steps)
    assert kf.open(shop.config).refresh().name == "rel-000001"  # nothing is new


def test_a_closed_gate_is_a_failed_check_with_the_text_of_the_command_line(make_shop, prefect_server, capfd):
    shop = make_shop(items=12, tasks={"kar_item": {}}, rules={"Thing 5": "refused"}, gates={"answered": 0.99})

    with pytest.raises(kf.CheckFailed, match="kar_item answered"):
        kf.open(shop.config).refresh()

    assert "Traceback" not in capfd.readouterr().err
