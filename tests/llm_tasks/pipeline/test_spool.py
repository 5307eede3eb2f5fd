"""The spool: requests come back as they were put in, from memory or from a file that leaves no trace."""

import tempfile

import pytest

from engines.request import messages_json
from llm_tasks.pipeline import spool
from llm_tasks.pipeline.spool import Spool, split

SAID = ["hello", "line\nbreak", "Amélie \u2028 ", 'a "quote" \\', ""]


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_requests_come_back_in_order_and_as_often_as_wanted(in_memory, monkeypatch, tmp_path):
    monkeypatch.setattr(spool, "IN_MEMORY", in_memory)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept, wanted = Spool(), []
    for place, said in enumerate(SAID):
        wanted.append((f"{place:064d}", messages_json([{"role": "user", "content": said}])))
        kept.add(*wanted[-1])

    assert [split(line) for line in kept.lines()] == wanted
    assert [split(line) for line in kept.lines()] == wanted
    assert list(tmp_path.iterdir()) == []  # an unnamed file: not even a kill leaves it behind


def test_an_empty_spool_has_no_lines():
    assert list(Spool().lines()) == []
