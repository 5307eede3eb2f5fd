"""What is a user's, what quotes them, and what only looks like it: rows and answers written by hand."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from feature_store.answers import write_answers
from feature_store.cleaned import Cleaner
from feature_store.database import Store
from feature_store.forget import forget_in_store
from feature_store.forgotten import forgotten_in, note_forgotten, read_forgotten
from feature_store.identity import StoreFault
from feature_store.lineage import VectorName, read_lineage, row_key, write_lineage
from feature_store.needles import Needles, needles_of
from feature_store.releases import get_release, list_releases, publish, released_lineage
from feature_store.schemas import ANSWERS, LINEAGE
from feature_store.scrub import REMOVED, Scrubber
from feature_store.seek import search_folder
from feature_store.swap import finish, replace_staged, staged_folder
from feature_store.traces import find_traces
from feature_store.vectors import read_vectors, text_key, write_state, write_vectors
from feature_store.verify import verify

WHEN = datetime(2024, 1, 1, tzinfo=UTC)
ALL = "what was said of everybody: "


def row(entity: str, text: str, answer: str | None, kind: str = "user", **more) -> dict:
    made = {"row": row_key("told", entity, WHEN), "task": "told", "entity_type": kind, "entity": entity}
    made |= {"as_of": WHEN, "created_at": WHEN, "answer_key": answer, "text": text, "text_key": text_key(text)}
    return dict.fromkeys(LINEAGE.names) | made | more


def answer(key: str, content: str, text: str = "nothing", prompt: str = "told.v1") -> dict:
    messages = json.dumps([{"content": content, "role": "user"}], ensure_ascii=False)
    return dict.fromkeys(ANSWERS.names) | {
        "key": key,
        "text": text,
        "prompt": prompt,
        "messages": messages,
        "created_at": WHEN,
    }


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "home" / "store")
    texts = {
        user: f"{user} likes long films about the sea, old ones most of all, and “{user} only”"
        for user in ("anna", "bert")
    }
    with made.writer("a test") as writer:
        write_answers(
            writer,
            [
                answer("of anna", f"{ALL}anna has seen A, B and C"),
                answer("of bert", f"{ALL}bert has seen D, E and F"),
                answer("of both", f"{ALL}somebody has seen nothing at all"),
                answer("another of anna", f"{ALL}anna has seen A, B and C", "another candidate"),
                answer("another of bert", f"{ALL}bert has seen D, E and F", "another candidate"),
                answer("page of anna", f"You are: {texts['anna']}\nYou see: A", prompt="page.v1"),
                answer("page of bert", f"You are: {texts['bert']}\nYou see: A", prompt="page.v1"),
                answer("quotes anna", f"Like others: {texts['anna']}", prompt="item.v1"),
                answer("of an item", "What is the film anna?", prompt="item.v1"),
                answer("unnamed", f"{ALL}somebody has seen X and Y"),
                answer("old of bert", f"{ALL}bert has seen D", texts["bert"]),  # whose row has failed since
                answer("unnamed of an item", "What is the film B?", prompt="item.v1"),
            ],
        )
        write_lineage(
            writer,
            [
                row("anna", texts["anna"], "of anna"),
                row("bert", texts["bert"], "of bert"),
                row("carl", "short", "of both"),
                row('["anna","i"]', "of an event of anna, and rather long", "of both", "event"),
                row("anna", "the film called anna, a long one", "of an item", "item", row="item/anna/0"),
                row("i", "an item, with what anna said of it", "quotes anna", "item"),
                row("e", f"a page without a prompt, of what is known: {texts['anna']}", None, "circle"),
                row("c", "a circle of some people, all alike", None, "circle", reads=json.dumps(["item/anna/0"])),
                row("d", "a circle of other people, all alike", None, "circle", reads=json.dumps(["told/anna/1"])),
            ],
        )
    return made


def test_rows_and_answers_of_a_user_and_what_quotes_or_reads_them_are_found(store):
    with store.writer("a test") as writer:
        anna = read_lineage(store).filter(entity="anna", entity_type="user")["row"][0]
        write_lineage(writer, [row("d", "a circle of others, all alike", None, "circle", reads=json.dumps([anna]))])

    traces = find_traces(store, {"anna"}, {"item"})

    day = row_key("", "", WHEN).split("/")[-1]
    about = {"anna", '["anna","i"]', "i", "d", "e"}
    assert traces.rows == {f"told/{entity}/{day}" for entity in about} | {"told/anna/1"}  # which is only read any more
    assert traces.of_others == 3  # an item, and two circles: one reads her, one quotes her
    assert traces.answers == {"of anna", "another of anna", "page of anna", "quotes anna", "unnamed"}
    assert traces.unnamed == 1
    assert not Cleaner(traces)("answers", read(store, "answers"))[0]
    assert find_traces(store, {"nobody"}, {"item"}).rows == frozenset()


def read(store, table):
    import polars as pl

    return pl.DataFrame(pl.from_arrow(store.open(table).to_table())).sort(pl.col("key") != "of anna")


def test_a_row_that_is_deleted_from_the_newest_version_is_forgotten_in_an_older_release(store):
    with store.writer("a test") as writer:
        publish(writer, {})
        writer.delete("lineage", "entity", ["anna"])
        publish(writer, {})
        write_lineage(writer, [row("emil", "came later, and says something long", None)])
        publish(writer, {})
        old = {one.versions["lineage"] for one in list_releases(store)}

        forget_in_store(writer, find_traces(store, {"anna"}, {"item"}))

    assert old.isdisjoint(one.versions["lineage"] for one in list_releases(store))
    counts = [len(released_lineage(store, one)) for one in list_releases(store)]
    assert counts == [4, 3, 4]  # without anna, her event, and what quoted or read her
    assert (verify(store).whole, verify(store).findings) == (True, ())
    assert b"told/anna" not in b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())


def test_vectors_of_texts_that_somebody_else_has_stay_and_states_fitted_on_theirs_go(store):
    same, theirs = text_key("short"), text_key(read_lineage(store).filter(entity="anna", entity_type="user")["text"][0])
    with store.writer("a test") as writer:
        write_lineage(writer, [row("anna", "short", "of both", row="told/anna/5", as_of=WHEN)])
        keys, name = [same, theirs, "of an old text"], VectorName("told", "toy")
        write_vectors(writer, name, "f", keys, np.eye(3, 4, dtype=np.float32))
        write_state(writer, "toy", "told", "with theirs", [same, theirs], b"1")
        write_state(writer, "toy", "told", "without", [same], b"2")
        write_state(writer, "toy", "items", "of items", ["of an old text"], b"3")
        publish(writer, {})

        forget_in_store(writer, find_traces(store, {"anna"}, {"item"}))

    assert read_vectors(store, "vectors_toy_4.told", 4, "f", [same]).tolist() == [[1, 0, 0, 0]]
    assert store.open("vectors_toy_4.told").count_rows() == 1
    assert set(store.open("encoder_states").to_table()["fingerprint"].to_pylist()) == {"without", "of items"}


def test_an_index_is_made_again_in_every_version(store):
    from feature_store.schemas import DOCUMENTS, pa

    quoting = read_lineage(store).filter(entity="anna", entity_type="user")["text"][0]
    docs = [{"item": str(n), "place": n, "text": quoting if n == 1 else "t", "words": f"word{n} all"} for n in range(9)]
    with store.writer("a test") as writer:
        for some in (docs[:5], docs[5:]):
            writer.upsert("documents", pa.Table.from_pylist(some, schema=DOCUMENTS), DOCUMENTS)
            writer.index_words("documents", "words")
            publish(writer, {})

        forget_in_store(writer, find_traces(store, {"anna"}, {"item"}))

    from feature_store.pinned import open_pinned

    found = [
        open_pinned(store, "documents", one.versions["documents"], ["item"]).matching("all", "words", 99, ["item"])
        for one in list_releases(store)
    ]
    assert [set(one["item"]) for one in found] == [{"0", "2", "3", "4"}, {"0", "2", "3", "4", "5", "6", "7", "8"}]
    assert verify(store).whole


def test_a_release_out_of_service_stays_on_record_and_keeps_no_version(store):
    from feature_store.releases import all_releases, mark_damaged

    with store.writer("a test") as writer:
        publish(writer, {})
        mark_damaged(writer, publish(writer, {}), "a file of it is lost")

        forget_in_store(writer, find_traces(store, {"anna"}, {"item"}))

    damaged = all_releases(store)[1]
    assert (damaged.name, damaged.damaged, dict(damaged.versions)) == ("rel-000002", "a file of it is lost", {})
    assert get_release(store).name == "rel-000001"
    assert verify(store).whole


def test_the_search_finds_a_row_that_no_version_shows_and_a_short_id_in_cells_alone(store):
    traces = find_traces(store, {"anna"}, {"item"})
    home = store.folder.parent
    (home / "run.json").write_text(json.dumps({"samples": [{"user": "anna", "item": "i"}], "note": "anna is a film"}))
    with store.writer("a test") as writer:
        writer.delete("lineage", "entity", ["anna", '["anna","i"]', "i"])

    found = {(one.file.split("/data/")[0], one.where) for one in search_folder(home, traces).found}

    assert ("store/lineage.lance", "rows") in found
    assert ("store/answers.lance", "rows") in found
    assert ("run.json", "entries") in found
    with store.writer("a test") as writer:
        forget_in_store(writer, traces)
    assert {one.file for one in search_folder(home, traces).found} == {"run.json"}


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("customer-1", True),
        ('{"u":"customer-1"}', True),
        ("customer-10", False),
        ("a “long” text of theirs, quoted", True),
        ('{"t":"a \\u201clong\\u201d text of theirs, quoted"}', True),
        ("<p>a “long” text of theirs &amp; &#39;nobody&#39; &#34;else&#34;</p>", True),
        ("a long text", False),
    ],
)
def test_needles_are_found_in_any_spelling_and_ids_stand_alone(text, hit):
    texts = frozenset({"a “long” text of theirs, quoted", "a “long” text of theirs & 'nobody' \"else\""})
    needles = Needles(texts, frozenset({"customer-1"}))

    assert needles.hit(text) is hit
    assert bool(needles.bytes_pattern and needles.bytes_pattern.search(text.encode())) is hit


def test_a_text_that_others_share_is_not_searched_for():
    import polars as pl

    begin = "They like long films. " * 12
    others = pl.Series([f"{begin} And the sea.", "quite another text, of somebody else"])

    needles = needles_of(
        ["7", "customer-7"], [f"{begin} And nothing but the sky above it.", others[1], "short"], others
    )

    assert needles.ids == {"customer-7"}
    assert len(needles.texts) == 1  # the end alone: others begin alike
    assert next(iter(needles.texts)).endswith("And nothing but the sky above it.")


def test_json_loses_entries_about_them_and_keeps_their_place_in_lists_of_users():
    scrub = Scrubber(frozenset({"7"}), Needles())
    said = {
        "frame": {"user_ids": ["6", "7", "70"], "item_ids": ["7"]},
        "samples": [{"user": "7", "item": "1"}, {"user": "6", "examples": [{"user": "7"}, {"user": "70"}]}],
        "found": ["25% of 7 answers", "the first: 7: 'sorry'", 'row cot/["7","318"]/5', "kar_user/7/1704067440000000"],
        "sample": {"user": "7"},
        "page": ["<summary>kar_user · 7 <span>", "Test sample: user 7 and Heat", "User 7, Heat", "User 77 · 70"],
    }

    clean = scrub(said)

    assert clean["frame"]["user_ids"][::2] == ["6", "70"]
    assert clean["frame"]["user_ids"][1].startswith("forgotten-")
    assert clean["frame"]["item_ids"] == ["7"]
    assert clean["samples"] == [{"user": "6", "examples": [{"user": "70"}]}]
    assert clean["found"] == ["25% of 7 answers", REMOVED, REMOVED, REMOVED]
    assert clean["sample"] == {"user": REMOVED}
    assert clean["page"] == [REMOVED, REMOVED, REMOVED, "User 77 · 70"]
    assert scrub({"a": [1, None, {"user": "6"}]}) == {"a": [1, None, {"user": "6"}]}


def test_a_replacement_is_dropped_before_its_commit_and_finished_after_it(tmp_path):
    (tmp_path / "t.lance").mkdir()
    (tmp_path / "t.lance" / "old").touch()
    (staged_folder(tmp_path) / "t.lance").mkdir()
    (tmp_path / "forgetting" / "new" / "t.lance" / "new").touch()

    finish(tmp_path)
    dropped = [path.name for path in (tmp_path / "t.lance").iterdir()]
    (staged_folder(tmp_path) / "t.lance").mkdir()
    (tmp_path / "forgetting" / "new" / "t.lance" / "new").touch()
    replace_staged(tmp_path)

    assert dropped == ["old"]
    assert [path.name for path in (tmp_path / "t.lance").iterdir()] == ["new"]
    assert not (tmp_path / "forgetting").exists()


def test_the_list_of_the_forgotten_knows_an_id_and_does_not_hold_it(tmp_path):
    read_forgotten(tmp_path).adding(["anna"], "2024").adding(["bert"], "2025").write(tmp_path)

    known = read_forgotten(tmp_path)
    again = known.adding(["anna"], "2026")

    assert ("anna" in known, "bert" in known, "carl" in known, 7 in known) == (True, True, False, False)
    assert sorted(again.users.values()) == ["2024", "2025"]
    assert b"anna" not in (tmp_path / "forgotten.json").read_bytes()
    assert read_forgotten(tmp_path / "nowhere").key != read_forgotten(tmp_path / "nowhere").key
    (tmp_path / "forgotten.json").write_text('{"key": 1}')
    with pytest.raises(StoreFault, match="forget these users again"):
        read_forgotten(tmp_path)


def test_the_list_outlives_a_store_that_is_lost_or_comes_back_from_a_backup(tmp_path):
    store, home = tmp_path / "home" / "store", tmp_path / "home"
    store.mkdir(parents=True)
    note_forgotten(store, home, ["anna"], "2024")
    backup = (store / "forgotten.json").read_bytes()
    note_forgotten(store, home, ["bert"], "2025")

    (store / "forgotten.json").write_bytes(backup)
    restored = forgotten_in(store, home)
    (store / "forgotten.json").unlink()
    lost = forgotten_in(store, home)
    note_forgotten(store, home, ["carl"], "2026")

    assert [user in restored for user in ("anna", "bert", "carl")] == [True, True, False]
    assert [user in lost for user in ("anna", "bert", "carl")] == [True, True, False]
    assert [user in read_forgotten(store) for user in ("anna", "bert", "carl")] == [True, True, True]
