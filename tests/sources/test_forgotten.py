"""Users who were forgotten are left out of every table, although the files still hold them, and it is said how many."""

import pytest

from sources.faults import SourceFaults
from sources.load import load

QUERIES = {"queries": {"path": "queries.csv", "query": "q", "user": "user"}}


@pytest.fixture
def files(source):
    source.write("users.csv", "user,age\n1,30\n2,40\n")
    source.write("queries.csv", "q,user\nheat,1\nfargo,2\ncold,\n")
    return source


def test_their_events_queries_and_fields_are_left_out_and_counted(files, caplog):
    config = files.config(**QUERIES, users={"path": "users.csv", "id": "user", "numbers": {"age": "age"}})

    data = load(config, files.folder, forgotten={"1"})

    assert data.users is not None
    assert data.queries is not None
    assert data.events["user"].to_list() == ["2"]
    assert data.events["position"].to_list() == [0]
    assert data.users["user"].to_list() == ["2"]
    assert data.queries["query"].to_list() == ["fargo", "cold"]  # a query of nobody stays
    assert data.items["item"].to_list() == ["9", "10"]
    assert data.version != load(config, files.folder).version
    assert caplog.messages == [
        "events.csv: left out 2 rows of 1 user who asked to be forgotten; the file still holds them",
        "users.csv: left out 1 row of 1 user who asked to be forgotten; the file still holds them",
        "queries.csv: left out 1 row of 1 user who asked to be forgotten; the file still holds them",
    ]


def test_ids_are_compared_as_text_and_nobody_else_is_touched(files, caplog):
    data = load(files.config(), files.folder, forgotten={"10", "01"})  # 10 is an item

    assert len(data.events) == 3
    assert caplog.messages == []


def test_a_log_of_nobody_else_is_said_to_be_empty(files):
    with pytest.raises(SourceFaults, match="none is left"):
        load(files.config(), files.folder, forgotten={"1", "2"})
