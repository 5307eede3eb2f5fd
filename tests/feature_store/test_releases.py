"""Releases: one atomic pointer to one version of every table; what it names stays readable, whatever comes later."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import lance
import numpy as np
import pytest

from base.faults import WrongUse
from feature_store.answers import answer_log
from feature_store.database import Store
from feature_store.lineage import VectorName, read_lineage, row_key, write_lineage
from feature_store.releases import (
    NoRelease,
    get_release,
    list_releases,
    publish,
    released_answers,
    released_knowledge,
    released_lineage,
    roll_back,
)
from feature_store.schemas import ANSWERS, LINEAGE
from feature_store.vectors import text_key, write_vectors
from feature_store.writer import COMPACT_EVERY

DAY = datetime(2024, 5, 1, tzinfo=UTC)
DENSE = VectorName("kar_user", "dense")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def lineage_row(entity: str, text: str | None, as_of: datetime = DAY, task: str = "kar_user") -> dict:
    empty = dict.fromkeys(LINEAGE.names)
    key = text_key(text) if text is not None else None
    about = {"task": task, "entity_type": "user", "entity": entity, "as_of": as_of, "text": text, "text_key": key}
    return {**empty, **about, "row": row_key(task, entity, as_of), "created_at": DAY}


def write_state_of(writer, number: int) -> None:
    """Bring all tables to state `number`: three users whose texts, answers and vectors all say so."""
    texts = {user: f"text {number} of {user}" for user in "abc"}
    write_lineage(writer, [lineage_row(user, text) for user, text in texts.items()])
    keys = [text_key(text) for text in texts.values()]
    write_vectors(writer, DENSE, "fit", keys, np.full((3, 2), number, dtype=np.float32))
    with answer_log(writer) as log:
        log.append({**dict.fromkeys(ANSWERS.names), "key": "k", "text": f"answer {number}", "created_at": DAY})


FACTS = {"vectors": {"kar_user/dense": {"fingerprint": "fit", "dimension": 2}}}


def holds(store: Store, release, number: int) -> bool:
    """Say whether a release reads as state `number` through every table."""
    knowledge = released_knowledge(store, release, "kar_user", "dense")
    texts = set(released_lineage(store, release, ["kar_user"])["text"])
    answers = released_answers(store, release, ["k"])["text"].to_list()
    return (
        texts == {f"text {number} of {user}" for user in "abc"}
        and answers == [f"answer {number}"]
        and knowledge.vectors.tolist() == [[number, number]] * 3
    )


def test_a_store_without_a_release_says_what_to_run(store):
    with pytest.raises(NoRelease, match="nothing has been released yet\n  make one: knowflow refresh"):
        get_release(store)
    assert not store.folder.exists()


def test_releases_are_numbered_and_the_last_one_is_current(store):
    with store.writer("a test") as writer:
        for number in (1, 2):
            write_state_of(writer, number)
            publish(writer, {**FACTS, "number": number})

    assert [release.name for release in list_releases(store)] == ["rel-000001", "rel-000002"]
    assert get_release(store).facts["number"] == 2
    assert get_release(store, "rel-000001").facts["number"] == 1
    assert set(get_release(store).versions) == {"answers", "lineage", "vectors_dense_2.kar_user"}
    with pytest.raises(NoRelease, match="no release 'rel-7'; the newest are rel-000001, rel-000002"):
        get_release(store, "rel-7")


def test_between_the_tags_and_the_row_a_reader_sees_the_old_release(store):
    with store.writer("a test") as writer:
        write_state_of(writer, 1)
        publish(writer, FACTS)
        write_state_of(writer, 2)
        for table in ("answers", "lineage", "vectors_dense_2.kar_user"):  # what `publish` does first; then it is killed
            writer.tag(table, "rel-000002", store.version(table))

        assert [release.name for release in list_releases(store)] == ["rel-000001"]
        assert holds(store, get_release(store), 1)

        write_state_of(writer, 3)
        publish(writer, FACTS)  # the next attempt takes the same name and its own versions

    assert get_release(store).name == "rel-000002"
    assert holds(store, get_release(store), 3)


def test_a_reader_beside_a_publisher_never_sees_a_mixture(store):
    with store.writer("a test") as writer:
        write_state_of(writer, 1)
        publish(writer, {**FACTS, "number": 1})
    seen, wrong, stop = set(), [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            release = get_release(store)
            seen.add(release.name)
            if not holds(store, release, release.facts["number"]):
                wrong.append(release.name)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with store.writer("a test") as writer:
            for number in range(2, 12):
                write_state_of(writer, number)
                publish(writer, {**FACTS, "number": number})
    finally:
        stop.set()
        reader.join()

    assert wrong == []
    assert len(seen) > 1


def test_a_release_reads_the_same_after_later_writes_compaction_and_clean_up(store):
    with store.writer("a test") as writer:
        write_state_of(writer, 1)
        release = publish(writer, FACTS)
        for number in range(2, COMPACT_EVERY + 4):
            write_state_of(writer, number)
        for table in store.tables():
            writer.compact(table)
            lance.dataset(str(store.path(table))).cleanup_old_versions(timedelta(0), error_if_tagged_old_versions=False)

    assert holds(store, release, 1)
    assert holds(store, get_release(store), 1)
    assert set(read_lineage(store)["text"]) == {f"text {COMPACT_EVERY + 3} of {user}" for user in "abc"}


def test_rolling_back_moves_the_pointer_and_deletes_nothing(store):
    with store.writer("a test") as writer:
        for number in (1, 2):
            write_state_of(writer, number)
            publish(writer, FACTS)
        back = roll_back(writer, "rel-000001")
        again = roll_back(writer, "rel-000003")  # to a roll back: to what it points to

    assert (back.name, back.rolled_back_to) == ("rel-000003", "rel-000001")
    assert (again.name, again.rolled_back_to) == ("rel-000004", "rel-000001")
    assert get_release(store) == again
    assert holds(store, get_release(store), 1)
    assert holds(store, get_release(store, "rel-000002"), 2)


def test_rolling_back_to_nothing_is_refused_and_the_current_release_stays(store):
    with store.writer("a test") as writer:
        write_state_of(writer, 1)
        publish(writer, FACTS)
        with pytest.raises(NoRelease):
            roll_back(writer, "rel-000009")

    assert [release.name for release in list_releases(store)] == ["rel-000001"]


def test_a_table_that_came_after_a_release_is_none_of_it(store):
    with store.writer("a test") as writer:
        write_vectors(writer, DENSE, "fit", ["a"], np.ones((1, 2), dtype=np.float32))
        early = publish(writer, FACTS)
        write_state_of(writer, 1)

    assert released_lineage(store, early).height == 0
    assert released_answers(store, early, ["k"]).height == 0
    assert released_lineage(store, early, columns=["row"]).columns == ["row"]
    assert len(released_knowledge(store, early, "kar_user", "dense").entities) == 0


def test_knowledge_has_both_its_clock_and_its_entity_beside_each_vector_and_leaves_out_rows_without_text(store):
    later = DAY + timedelta(days=1)
    with store.writer("a test") as writer:
        rows = [
            lineage_row("a", "one"),
            lineage_row("a", "two", later),
            lineage_row("b", None),
            lineage_row("c", "one", task="other"),
        ]
        write_lineage(writer, rows)
        keys = [text_key("one"), text_key("two")]
        write_vectors(writer, DENSE, "fit", keys, np.array([[1, 1], [2, 2]], dtype=np.float32))
        release = publish(writer, FACTS)

    knowledge = released_knowledge(store, release, "kar_user", "dense")

    found = dict(
        zip(knowledge.as_of.astype("datetime64[D]").astype(str).tolist(), knowledge.vectors[:, 0].tolist(), strict=True)
    )
    assert found == {"2024-05-01": 1.0, "2024-05-02": 2.0}
    assert knowledge.entities.tolist() == ["a", "a"]
    assert (knowledge.task, knowledge.encoder, knowledge.entity) == ("kar_user", "dense", "user")


def test_vectors_that_a_release_does_not_hold_are_named_with_those_it_does(store):
    with store.writer("a test") as writer:
        write_state_of(writer, 1)
        release = publish(writer, FACTS)

    with pytest.raises(NoRelease, match="holds no vectors of kar_item under dense; there are: kar_user/dense"):
        released_knowledge(store, release, "kar_item", "dense")


def test_vectors_that_a_release_lacks_are_named_with_the_release_the_table_and_the_command(store):
    with store.writer("a test") as writer:
        write_state_of(writer, 1)
        write_lineage(writer, [lineage_row("d", "a text that was never encoded")])
        release = publish(writer, FACTS)

    with pytest.raises(
        WrongUse, match=rf"release {release.name}: 1 of 4 texts .* vectors_dense_2\.kar_user .*\n.*knowflow refresh"
    ):
        released_knowledge(store, release, "kar_user", "dense")


def test_a_publisher_killed_at_any_moment_leaves_a_whole_release_current(store, tmp_path):
    """A real process publishes one state after another and is killed; whatever is current then reads as one state."""
    program = tmp_path / "publisher.py"
    program.write_text(
        "import sys, importlib.util\nfrom pathlib import Path\nfrom feature_store.database import Store\n"
        "from feature_store.releases import publish\n"
        "spec = importlib.util.spec_from_file_location('helpers', sys.argv[1])\n"
        "helpers = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(helpers)\n"
        "store, number = Store(Path(sys.argv[2])), int(sys.argv[3])\n"
        "with store.writer('publisher') as writer:\n"
        "    while True:\n"
        "        helpers.write_state_of(writer, number)\n"
        "        publish(writer, {**helpers.FACTS, 'number': number})\n"
        "        print(number, flush=True)\n"
        "        number += 1\n"
    )
    number = 1
    for stop_after in (1, 3, 2):
        publisher = subprocess.Popen(
            [sys.executable, str(program), __file__, str(store.folder), str(number)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert publisher.stdout is not None
            for _ in range(stop_after):
                line = publisher.stdout.readline()
        finally:
            publisher.kill()
            publisher.wait()
        said = int(line)
        release = get_release(store)

        assert release.facts["number"] >= said
        assert holds(store, release, release.facts["number"])
        number = release.facts["number"] + 1
