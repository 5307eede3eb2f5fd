"""A forgotten user is in no byte of the home, every release goes on without them, and a kill can be finished."""

import json
import zipfile
from functools import partial
from pathlib import Path

import pytest
from people_shop import ASKED, copy_of, name_of, people_shop

from app.config import load_config
from app.forgetting import forget, plan_forgetting
from app.publish import check_release
from app.workplace import damaged_store
from base.faults import WrongUse
from feature_store.answers import answer_log, known_answers, read_answers, write_answers
from feature_store.identity import StoreFault
from feature_store.lineage import EPOCH, read_lineage, write_lineage
from feature_store.migrations import migrate
from feature_store.releases import get_release, list_releases, publish, released_knowledge, released_lineage, roll_back
from feature_store.schemas import ANSWERS, LINEAGE
from feature_store.verify import verify

USER, OTHER = name_of(1), name_of(2)
KILLED = Path(__file__).resolve().parents[1] / "helpers" / "killed_forget.py"


@pytest.fixture
def shop(made_once, shop_builder, tmp_path):
    return copy_of(made_once("people", partial(people_shop, shop_builder)), tmp_path)


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def holding(home: Path, *texts: str) -> set[str]:
    """The files whose bytes hold one of some texts, found without any code of ours."""
    return {name for name, content in files(home).items() if any(text.encode() in content for text in texts)}


def texts_of(shop, user: str = USER) -> set[str]:
    """All that was said of a user, and about others with what was said of them, over all releases."""
    store = shop.place().store
    rows = [row for one in list_releases(store) for row in released_lineage(store, one).iter_rows(named=True)]
    own = {row["text"] for row in rows if row["entity"] == user}
    asked = read_answers(store, [row["answer_key"] for row in rows], ["key", "messages", "text"]).iter_rows(named=True)
    quoting = {one["text"] for one in asked if any(text in one["messages"] for text in own)}
    return own | quoting


def read_all(shop, without: str = USER) -> dict[str, tuple]:
    """What every release holds of everybody else: rows and vectors."""
    store, read = shop.place().store, {}
    for one in list_releases(store):
        rows = [
            row
            for row in released_lineage(store, one).sort("row").iter_rows(named=True)
            if row["entity"] != without and without not in (row["reads"] or "")
        ]
        vectors = {
            (entity, str(time)): vector.tolist()
            for task in ("kar_item", "kar_user")
            for knowledge in [released_knowledge(store, one, task, "lexical")]
            for entity, time, vector in zip(knowledge.entities, knowledge.as_of, knowledge.vectors, strict=True)
            if entity != without
        }
        answers = read_answers(store, [row["answer_key"] for row in rows], version=one.versions["answers"])
        read[one.name] = (rows, vectors, answers.sort("key").rows())
    return read


def test_no_byte_of_id_or_text_is_left_and_every_release_reads_as_before_for_all_others(shop):
    home, before, texts = shop.folder / "runs", read_all(shop), texts_of(shop)
    assert len(texts) == 6  # two snapshots and a circle, and those of the first release
    assert len(holding(home, USER, *texts)) >= 4  # or the search of this test could not find anything

    receipt = forget(load_config(shop.config), [USER])

    assert holding(home, USER, *texts) == set()
    assert read_all(shop) == before
    assert len(before) == 2
    store = shop.place().store
    assert verify(store).whole
    assert verify(store).findings == ()
    for release in list_releases(store):
        assert check_release(load_config(shop.config), shop.place(), store, release.name)[1]["leaks"] == 0
        assert not released_lineage(store, release).filter(entity=USER).height
        assert OTHER in released_knowledge(store, release, "kar_user", "lexical").entities
    assert receipt["search"]["found"] == ()
    assert receipt["removed"]["rows"] == {"circles": 1, "kar_user": 2}
    assert (receipt["removed"]["rows_of_others"], receipt["removed"]["answers"]) == (1, 6)
    assert receipt["input_files"] == {"events.parquet": 5}


def test_a_migrated_store_forgets_in_the_table_that_its_old_releases_read_too(tmp_path):
    with zipfile.ZipFile(Path(__file__).parent / "stores" / "format-1.zip") as packed:
        packed.extractall(tmp_path)
    config = load_config(tmp_path / "knowflow.yaml")
    store = damaged_store(config)
    migrate(store, "a test")
    with store.writer("a test") as writer:
        publish(writer, get_release(store).facts)

    def held(name: str) -> list[tuple[str, list[float]]]:
        known = released_knowledge(store, get_release(store, name), "kar_user", "lexical")
        return list(zip(known.entities.tolist(), known.vectors.tolist(), strict=True))

    before, names = held("rel-000001"), ("rel-000001", "rel-000002")
    user, other = (entity for entity, _ in before)
    keys = read_lineage(store).filter(entity=user, task="kar_user")["text_key"].to_list()

    forget(config, [user])

    assert [held(name) for name in names] == [before[1:], before[1:]]
    assert other in before[1]
    assert holding(tmp_path / "runs", *keys) == set()
    assert verify(store).whole


def test_the_next_refresh_asks_nothing_about_them_and_asks_anew_what_quoted_them(shop):
    forget(load_config(shop.config), [USER])
    asked = len(shop.calls())

    name = shop.release(*ASKED)

    store = shop.place().store
    assert name == "rel-000003"
    new = read_answers(store, shop.calls()[asked:], ["key", "prompt", "messages"])
    assert set(new["prompt"]) == {"circles.v1"}  # of those that are left
    assert len(new) == len(shop.calls()) - asked == 1
    assert holding(shop.folder / "runs", USER) == set()
    assert USER in {user for user, *_ in shop.events()}  # the input still holds them
    assert not read_lineage(store).filter(entity=USER).height


def test_a_plan_changes_no_byte(shop):
    home = shop.folder / "runs"
    before = files(home)

    plan = plan_forgetting(load_config(shop.config), [USER])

    assert files(home) == before
    vectors = ("vectors_lexical_1.circles", "vectors_lexical_4.kar_user")
    assert plan.tables.tables == ("answers", "encoder_states", "lineage", *vectors)  # a state was fitted on circles
    assert plan.tables.releases == ("rel-000001", "rel-000002")
    assert plan.removed()["rows"] == {"circles": 1, "kar_user": 2}


def test_answers_that_only_a_killed_run_left_go_too_if_they_may_be_theirs(shop):
    store = shop.place().store
    row = dict.fromkeys(ANSWERS.names) | {"text": "t", "created_at": shop.events()[0][2]}
    with store.writer("a test") as writer, answer_log(writer) as log:
        for prompt in ("kar_user.v1", "kar_item.v1", "of a plug-in.v1"):
            message = json.dumps([{"content": f"For {prompt}: Thing 1, Thing 4, Thing 7", "role": "user"}])
            log.append({**row, "key": prompt, "prompt": prompt, "messages": message})
    with (store.folder / "answers.journal").open("ab") as journal:
        journal.write(b'{"key":"journal","text":"t","error":null,"prompt":"kar_user.v1","messages":"[]",')
        journal.write(b'"created_at":"2024-01-01T00:00:00+00:00"}\n')

    receipt = forget(load_config(shop.config), [USER])

    assert receipt["removed"]["answers_unnamed"] == 3
    assert known_answers(store).keys() & {"kar_user.v1", "of a plug-in.v1", "journal"} == set()
    assert "kar_item.v1" in known_answers(store)  # shows no user, and was paid for
    assert (store.folder / "answers.journal").read_bytes() == b""


def test_an_answer_that_another_user_shares_stays_and_so_does_its_vector(shop):
    events = [(name_of(3), item, time, rating) for user, item, time, rating in shop.events() if user == USER]
    shop.write_events([event for event in shop.events() if event[0] != name_of(3)] + events)
    shop.release("kar_user")
    shared = {row["answer_key"] for row in shop.lineage("kar_user").values() if row["entity"] == name_of(3)}
    assert shared == {row["answer_key"] for row in shop.lineage("kar_user").values() if row["entity"] == USER}
    calls = len(shop.calls())

    forget(load_config(shop.config), [USER])
    shop.release("kar_user")

    assert len(shop.calls()) == calls
    assert shared <= known_answers(shop.place().store).keys()
    assert {row["entity"] for row in shop.lineage("kar_user").values()} == {name_of(0), OTHER, name_of(3)}


def test_a_number_as_an_id_is_found_in_cells_and_no_item_of_that_number_is_touched(make_shop):
    shop = make_shop(tasks={"kar_item": {}, "kar_user": {}})
    shop.write_items({str(place): f"Thing {place}" for place in range(12)})
    shop.write_events([(user[1:], item[1:], *rest) for user, item, *rest in shop.events()])
    shop.release("kar_item", "kar_user")
    pages = [shop.folder / "runs" / name for name in ("report.html", "similar.html")]
    for page, entity in zip(pages, ("2", "20"), strict=True):
        page.write_text(f"<summary>kar_user · {entity} <span>as of 2 o'clock</span></summary>")

    receipt = forget(load_config(shop.config), ["2"])

    assert (receipt["search"]["ids"], receipt["search"]["found"]) == (0, ())
    assert receipt["removed"]["rows"] == {"kar_user": 1}
    assert [page.exists() for page in pages] == [False, True]
    assert {row["entity"] for row in shop.lineage("kar_user").values()} == {"0", "1", "3"}
    assert len(shop.lineage("kar_item")) == 12


def test_a_rollback_holds_and_its_release_reads_without_them(shop):
    store = shop.place().store
    with store.writer("a test") as writer:
        roll_back(writer, "rel-000001")

    forget(load_config(shop.config), [USER])

    current = get_release(store)
    assert (current.name, current.rolled_back_to, current.pinned) == ("rel-000003", "rel-000001", True)
    assert dict(current.versions) == dict(get_release(store, "rel-000001").versions)
    assert not released_lineage(store, current).filter(entity=USER).height
    assert verify(store).whole


def test_whoever_has_read_an_old_version_gets_an_error_and_no_other_rows(shop):
    store = shop.place().store
    old = list_releases(store)

    forget(load_config(shop.config), [USER])

    for release in old:
        with pytest.raises(StoreFault):
            released_lineage(store, release)


def test_what_a_gate_has_quoted_of_them_leaves_the_releases(shop):
    shop.configure(rules={"Gadget 1: 1; Thing 4: 2": "I am sorry, as an AI model I cannot help with that."})
    shop.configure(
        engine={**shop.settings["engine"], "revision": "2"},
        gates={"refusals": 0.0, "warn": ["refusals", "language", "vocabulary"]},
    )
    shop.release("kar_user")
    gates = [gate["found"] for gate in get_release(shop.place().store).facts["gates"]]
    assert any(f"{USER}: 'I am sorry" in found for found in gates)

    forget(load_config(shop.config), [USER])

    assert holding(shop.folder / "runs", USER, "I am sorry, as an AI") == set()
    assert len(get_release(shop.place().store).facts["gates"]) == len(gates)


def test_a_column_that_was_added_between_two_releases_stays_where_it_is(tmp_path):
    with zipfile.ZipFile(Path(__file__).parent / "stores" / "format-0.zip") as packed:
        packed.extractall(tmp_path)
    config = load_config(tmp_path / "knowflow.yaml")
    with pytest.raises(StoreFault, match="knowflow migrate"):
        forget(config, [USER])
    store = damaged_store(config)
    migrate(store, "a test")
    old = set(store.open("answers").schema.names)
    row = dict.fromkeys(ANSWERS.names) | {"text": f"{USER} likes films", "messages": "[]", "created_at": EPOCH}
    with store.writer("a test") as writer:
        own = {"key": "of an item", "text": "t", "prompt": "kar_item.v1", "attempts": 2}
        write_answers(writer, [{**row, "key": "theirs"}, {**row, **own}])
        about = {"answer_key": "theirs", "entity_type": "user", "entity": USER, "as_of": EPOCH, "text": row["text"]}
        write_lineage(writer, [dict.fromkeys(LINEAGE.names) | {"row": f"told/{USER}/0", "task": "told", **about}])
        publish(writer, {})

    forget(config, [USER])

    first, second = (store.open("answers", one.versions["answers"]) for one in list_releases(store))
    assert (set(first.schema.names), set(second.schema.names)) == (old, {*ANSWERS.names})
    assert (first.count_rows(), second.count_rows()) == (3, 4)
    assert read_answers(store, ["of an item"], ["key", "attempts"]).rows() == [("of an item", 2)]
    assert verify(store).whole
    assert len(read_lineage(store)) == 3


def test_nobody_named_and_no_store_are_said_in_words(shop, make_shop):
    with pytest.raises(WrongUse, match="nobody is named"):
        forget(load_config(shop.config), [])
    empty = make_shop(name="empty")
    with pytest.raises(WrongUse, match="there is no store"):
        forget(load_config(empty.config), [USER])
    assert not (empty.folder / "runs").exists()


STEPS = [("begin",), ("note",), ("table", "1"), ("rename", "1"), ("clean",), ("tidy",), ("prove",)]


@pytest.mark.slow(reason="processes that are really killed")
@pytest.mark.parametrize("moments", [STEPS, [("rename", "4")], [("rename", "7")], [("rename", "11")]], ids=str)
def test_a_forgetting_killed_at_any_moment_is_finished_by_the_same_command(shop, plain_knowflow, forks, moments):
    home, before, texts = shop.folder / "runs", read_all(shop), texts_of(shop)
    for moment in moments:
        process = forks.start(KILLED, shop.config, USER, *moment, environment=plain_knowflow.environment)
        said = process.communicate(timeout=120)
        assert process.returncode == -9, (moment, said)

        with shop.place().store.writer("somebody else"):
            pass  # whoever writes finishes what was being replaced
        assert verify(shop.place().store).whole, moment
        assert read_all(shop) == before, moment
    assert [one.fix for one in verify(shop.place().store).findings] == ["knowflow forget --yes"]

    receipt = forget(load_config(shop.config), [])  # what was begun says who it is about

    assert holding(home, USER, *texts) == set()
    assert not (home / "store" / "forgetting").exists()
    assert receipt["removed"]["rows"] == {"circles": 1, "kar_user": 2}
    assert receipt["removed"]["answers"] == 6
    assert len(list((home / "receipts").glob("forget-*"))) == 1 + (
        ("prove",) in moments
    )  # that run had made its search
