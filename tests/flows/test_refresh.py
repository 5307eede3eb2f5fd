"""The refresh flow: what is asked, what is encoded, what is released, and what happens when a gate is closed."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import psutil
import pytest

import app.workplace
import flows.refresh
from app.asking import Asking
from app.config import load_config
from app.encoding import encode_texts
from app.publish import check_release, publish_release
from app.workplace import plan
from base.faults import WrongUse
from engines.request import messages_json
from feature_store.answers import known_answers, read_answers
from feature_store.gate import GatesClosed
from feature_store.releases import get_release, list_releases, released_knowledge, released_lineage, roll_back, unpin
from flows.refresh import refresh
from llm_tasks.pipeline.catalogue import find_tasks

pytestmark = pytest.mark.usefixtures("prefect_server")
GATES = {"answered": 0.0, "parse_failures": 1.0}


def run(shop, tasks=None, **options) -> str:
    return refresh(config=str(shop.config), tasks=tasks, **options)


def current(shop):
    return get_release(shop.place().store)


def things(count: int) -> dict[str, str]:
    return {f"i{place}": f"Thing {place}" for place in range(count)}


def test_what_was_planned_is_what_the_refresh_does(shop):
    planned = [p.summary() for p in plan(load_config(shop.config))]
    run(shop)
    shop.write_items(things(14))
    second = [p.summary() for p in plan(load_config(shop.config))]
    first_asked = current(shop).facts["asked"]
    run(shop)

    for summaries, asked in ((planned, first_asked), (second, current(shop).facts["asked"])):
        assert [s["task"] for s in summaries] == [a["task"] for a in asked] == ["kar_item", "kar_user", "item_facts"]
        for name in ("rows", "cached", "calls", "input_tokens"):
            assert [s[name] for s in summaries] == [a[name] for a in asked], name
    assert [(s["new"], s["changed"], s["cached"]) for s in second] == [(2, 0, 12), (0, 0, 8), (2, 0, 12)]
    assert len(shop.calls()) == 12 + 8 + 2


def test_a_second_refresh_asks_nothing_encodes_nothing_and_makes_no_release(shop):
    first = run(shop)
    before, calls = shop.store_bytes(), shop.calls()

    second = run(shop)

    assert second == first == "rel-000001"
    assert shop.calls() == calls
    assert shop.store_bytes() == before  # not a byte of a single table


@pytest.fixture
def checked(monkeypatch):
    """Refreshes that were not found to have nothing to do: each checks the data before it pays."""
    seen = []
    check = flows.refresh.check_before_paying
    monkeypatch.setattr("flows.refresh.check_before_paying", lambda *of: seen.append(of) or check(*of))
    return seen


@pytest.fixture
def echoing(make_shop):
    """A shop with an engine of its own plug-ins, whose code a refresh can compare."""
    shop = make_shop(gates=GATES, tasks={"kar_item": {}})
    shutil.copytree(Path(__file__).parents[2] / "benchmarks" / "own_data_engine", shop.folder / "plugins")
    shop.configure(plugins=["plugins"], engine={"name": "echo", "model": "echo"})
    return shop


def test_a_refresh_that_left_nothing_to_do_is_not_done_again_until_something_changes(echoing, checked, monkeypatch):
    loaded = []
    load = app.workplace.load
    monkeypatch.setattr("app.workplace.load", lambda *of: loaded.append(of) or load(*of))

    first = run(echoing)

    assert [run(echoing), run(echoing)] == [first, first]
    assert len(checked) == len(loaded) == 1  # its stages read what the first of them has loaded
    echoing.write_items(things(13))
    second = run(echoing)
    assert (second, len(checked)) == ("rel-000002", 2)
    assert [run(echoing), len(checked)] == [second, 2]
    with echoing.place().store.writer("a test") as writer:
        back = roll_back(writer, first).name
    assert [run(echoing), len(checked)] == [back, 3]  # another release is current: all is looked at


def test_a_refresh_whose_rows_are_asked_again_later_has_not_left_nothing_to_do(echoing, checked):
    engine = echoing.folder / "plugins" / "echo.py"
    fails = 'yield Answer(request.key, "", error="http_503") if "Thing 3" in str(request.messages) else Answer('
    engine.write_text(engine.read_text().replace("yield Answer(", fails))

    tried = [run(echoing) for _ in range(4)]

    assert tried == ["rel-000001", "rel-000002", "rel-000003", "rel-000003"]  # two more tries at once, then it waits
    assert len(checked) == 4
    assert not (echoing.folder / "runs" / "refreshed.json").exists()


def test_new_events_of_one_percent_of_the_users_are_asked_about_and_nothing_else_is(movielens):
    tasks = {name: task for name, task in movielens.settings["tasks"].items() if name != "query_rewrite"}
    movielens.configure(engine={"name": "scripted:ScriptedEngine", "model": "scripted"}, tasks=tasks)
    run(movielens)
    calls = movielens.calls()
    assert len(calls) == len(set(calls)) == 3_227 + 1_219 + 632
    file = movielens.folder / "interactions.parquet"
    events = pl.read_parquet(file)
    chosen = events["user_id"].unique().sort().gather_every(100)[:6].to_list()  # 6 of 610
    newest = events.filter(pl.col("user_id").is_in(chosen)).group_by("user_id").agg(pl.col("timestamp").max())
    later = pl.concat(
        newest.with_columns(
            pl.lit(item, dtype=events.schema["item_id"]).alias("item_id"),
            pl.lit(4.5, dtype=events.schema["rating"]).alias("rating"),
            pl.col("timestamp") + timedelta(days=day),
        ).select(events.columns)
        for day, item in ((1, 1), (2, 2), (3, 3), (4, 6), (5, 10))
    )
    pl.concat([events, later]).write_parquet(file)

    _, planned, *_ = plan(load_config(movielens.config))
    run(movielens)

    store = movielens.place().store
    rows = released_lineage(store, current(movielens), ["kar_user"])
    known_before = released_lineage(store, get_release(store, "rel-000001"), ["kar_user"])
    asked = movielens.calls()[len(calls) :]
    fresh = rows.filter(~pl.col("row").is_in(known_before["row"].implode()))
    # five more events move both snapshots of each of the six by at least one event
    assert len(asked) == len(planned.asks) == 12
    assert set(fresh["entity"]) == {str(user) for user in chosen}
    assert set(asked) == set(fresh["answer_key"])
    assert planned.summary()["why"] == {"have new events": 12}
    assert (planned.count("cached"), len(planned.rows)) == (1_219 - 12, 1_219)
    unchanged = rows.join(known_before, on=["row", "answer_key", "text_key", "created_at"], how="semi")
    assert len(unchanged) == len(known_before)  # the old snapshots are still there, untouched
    shown = {
        message["content"].splitlines()[-1]
        for text in read_answers(store, asked)["messages"]
        for message in json.loads(text)
    }
    assert shown == {
        json.loads(messages)[-1]["content"].splitlines()[-1]
        for key, messages in ((one.key, messages_json(one.messages)) for one in planned.spool.requests())
        if key in set(asked)
    }


def test_a_changed_parser_asks_nothing_changes_the_texts_and_leaves_the_earlier_release_as_it_was(shop, monkeypatch):
    run(shop)
    calls, store = shop.calls(), shop.place().store
    old = released_lineage(store, current(shop), ["kar_item"]).sort("row")["text"].to_list()
    monkeypatch.setitem(vars(find_tasks()["kar_item"]), "encode", lambda answer: "film " + answer.split()[0])

    name = run(shop)

    new = released_lineage(store, current(shop), ["kar_item"]).sort("row")["text"].to_list()
    assert name == "rel-000002"
    assert shop.calls() == calls
    assert new == ["film " + text.split()[0] for text in old]
    assert released_lineage(store, get_release(store, "rel-000001"), ["kar_item"]).sort("row")["text"].to_list() == old
    assert current(shop).facts["asked"][0]["calls"] == 0


def test_what_the_recorded_engine_does_not_hold_is_an_error_row_and_closes_the_gate(movielens):
    recorded = movielens.folder / "recorded" / "items.parquet"
    some = pl.read_parquet(recorded).head(30)
    some.write_parquet(recorded)
    (movielens.folder / "answers.parquet").write_bytes(recorded.read_bytes())
    some.head(20).write_parquet(movielens.folder / "answers.parquet")
    movielens.configure(
        engine={
            "name": "recorded",
            "model": "recorded-2026-11",
            "options": {"files": {"kar_item.v1": "answers.parquet"}},
        },
        tasks={"kar_item": {"only": {"path": "recorded/items.parquet", "column": "item_id"}}},
    )

    with pytest.raises(
        GatesClosed,
        match=r"FAILED  kar_item answered: 66\.7% of 30 rows, at least 90\.0%; most often: not_recorded: no recorded",
    ):
        run(movielens)

    rows = movielens.lineage("kar_item")
    wanted = dict(some.select(pl.col("item_id").cast(pl.String), "answer").iter_rows())
    asked = set(some.head(20)["item_id"].cast(pl.String))
    assert {row["entity"]: row["text"] for row in rows.values()} == {
        item: text if item in asked else None for item, text in wanted.items()
    }
    assert list_releases(movielens.place().store) == []

    some.write_parquet(movielens.folder / "answers.parquet")  # now they are recorded
    with pytest.raises(GatesClosed):
        run(movielens)  # an error stands until it is retried
    assert run(movielens, asking=Asking(retry=("all",))) == "rel-000001"
    assert current(movielens).facts["asked"][0]["calls"] == 10


@pytest.mark.parametrize(
    ("rules", "gates", "failed"),
    [
        ({"Thing 3": "refused", "Thing 4": "long"}, {"answered": 0.9}, "kar_item answered: 83.3% of 12 rows"),
        ({"Thing 3": "empty"}, {"answered": 0.5, "parse_failures": 0.02}, "kar_item parsed: 8.3% failed to parse"),
    ],
)
def test_a_closed_gate_publishes_nothing_keeps_the_answers_and_leaves_the_current_release(shop, rules, gates, failed):
    run(shop, ["item_facts"])
    shop.configure(rules=rules, gates=gates)

    with pytest.raises(GatesClosed) as closed:
        run(shop)
    assert failed in str(closed.value)
    store = shop.place().store
    assert [release.name for release in list_releases(store)] == ["rel-000001"]
    assert set(released_lineage(store, current(shop))["task"]) == {"item_facts"}
    assert len(known_answers(store)) == 20
    shop.configure(gates={**GATES})

    assert run(shop) == "rel-000002"
    assert len(shop.calls()) == 20  # the second run asked nothing


def test_a_drift_beyond_the_gate_publishes_nothing(shop, monkeypatch):
    run(shop)
    shop.configure(gates={"drift": 0.5})
    monkeypatch.setitem(vars(find_tasks()["item_facts"]), "encode", lambda text: text + " again")

    with pytest.raises(GatesClosed, match=r"FAILED  item_facts drift: 100\.0% of 12 texts changed, at most 50\.0%"):
        run(shop)

    assert [release.name for release in list_releases(shop.place().store)] == ["rel-000001"]


def test_a_technique_that_leaks_is_not_released(shop, monkeypatch):
    task, honest = find_tasks()["kar_user"], find_tasks()["kar_user"].rows
    # as_of one minute too early: the newest event shown is then a sample that sees the row
    monkeypatch.setitem(
        vars(task), "rows", lambda inputs: (replace(r, as_of=r.as_of - timedelta(minutes=1)) for r in honest(inputs))
    )

    with pytest.raises(GatesClosed, match=r"FAILED  no leak: \d+ leaks"):
        run(shop)
    assert list_releases(shop.place().store) == []
    monkeypatch.undo()

    assert run(shop) == "rel-000001"  # the fixed technique's rows have other keys; the leaking ones are withdrawn
    assert current(shop).facts["asked"][1]["withdrawn"] == 8
    assert len(shop.calls()) == 20  # and the answers serve again


def test_the_release_of_the_example_s_data_has_no_leak(shop):
    run(shop)
    release, found = check_release(load_config(shop.config), shop.place(), shop.place().store, None)

    assert release.name == "rel-000001"
    assert (found["leaks"], found["rows"], found["samples"]) == (0, 12 + 8 + 12, 20)
    assert found["pairs"] > 20


def test_refreshing_one_task_keeps_the_others_in_the_release(shop):
    run(shop)
    before = current(shop).facts["vectors"]
    user, item, time, rating = shop.events()[-1]
    shop.write_events([*shop.events(), (user, item, time + timedelta(hours=1), rating)])

    run(shop, ["kar_user"])

    release = current(shop)
    assert (
        set(release.facts["vectors"]) == set(before) == {"kar_item/lexical", "kar_user/lexical", "item_facts/lexical"}
    )
    assert len(released_knowledge(shop.place().store, release, "kar_item", "lexical").entities) == 12
    assert len(released_knowledge(shop.place().store, release, "kar_user", "lexical").entities) == 10


def test_a_space_that_moves_takes_all_its_tasks_along(shop):
    run(shop)
    before = current(shop).facts["vectors"]
    shop.write_items(things(30))  # 18 of 30 texts are new: the fit of kar_item's space is renewed

    run(shop, ["kar_item"])

    made = current(shop).facts["vectors"]
    assert made["kar_item/lexical"]["fingerprint"] != before["kar_item/lexical"]["fingerprint"]
    assert made["kar_user/lexical"] == made["kar_item/lexical"]
    assert made["item_facts/lexical"] == before["item_facts/lexical"]
    users = released_knowledge(shop.place().store, current(shop), "kar_user", "lexical")
    assert users.vectors.shape == (8, 4)


def test_a_roll_back_holds_until_it_is_unpinned_and_then_the_present_state_is_published_again(shop):
    run(shop)
    shop.write_items(things(13))
    run(shop)
    store = shop.place().store
    with store.writer("a test") as writer:
        roll_back(writer, "rel-000001")

    shop.write_items(things(14))
    held, known = run(shop), len(released_knowledge(store, get_release(store), "kar_item", "lexical").entities)
    with store.writer("a test") as writer:
        unpin(writer, "rel-000001")
    name = run(shop)

    assert (held, known) == ("rel-000003", 12)
    assert name == "rel-000004"
    assert len(released_knowledge(store, get_release(store), "kar_item", "lexical").entities) == 14


def test_changed_data_alone_makes_a_release_for_its_samples_were_checked_anew(shop):
    run(shop)
    user, item, time, _ = shop.events()[-1]
    shop.write_events([*shop.events()[:-1], (user, item, time, 1.0)])
    shop.configure(tasks={"item_facts": {}})

    assert run(shop) == "rel-000002"
    assert current(shop).versions == get_release(shop.place().store, "rel-000001").versions


def test_only_an_encoder_that_loads_a_model_gets_a_process_of_its_own(shop):
    shop.configure(encoders={**shop.settings["encoders"], "dense": {"kind": "dense"}})
    shop.configure(tasks={"kar_item": {"encoders": ["lexical"]}, "item_facts": {"encoders": ["dense"]}})
    for task in ("kar_item", "item_facts"):
        shop.ask(task)
    seen = []

    def watch(what: str, *_: int) -> None:
        children = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
        seen.append((what, sum("app.encode_process" in child.cmdline() for child in children)))

    made = encode_texts(load_config(shop.config), ["kar_item", "item_facts"], watch)

    assert set(seen) == {("encoding (lexical) kar_item", 0), ("encoding (dense) item_facts", 1)}
    assert {(one["task"], one["encoder"], one["new"]) for one in made} == {
        ("kar_item", "lexical", 12),
        ("item_facts", "dense", 12),
    }


def test_wrong_encoders_are_told_before_anything_is_asked(shop):
    shop.configure(tasks={"kar_item": {"encoders": ["dens"]}})

    with pytest.raises(WrongUse, match="there is no encoder dens"):
        run(shop)

    assert shop.calls() == []
    assert not (shop.folder / "runs").exists()


def test_nobody_can_touch_the_tables_between_the_gates_and_the_pointer(shop):
    run(shop)
    place, config = shop.place(), load_config(shop.config)

    with place.store.writer("somebody else"), pytest.raises(WrongUse, match="somebody else"):
        publish_release(config, place, ["kar_item"], [], [])


def test_a_refresh_beside_another_writer_is_refused_and_pays_for_nothing(shop):
    with (
        shop.place().store.writer("knowflow refresh elsewhere"),
        pytest.raises(WrongUse, match="knowflow refresh elsewhere"),
    ):
        run(shop)

    assert shop.calls() == []
