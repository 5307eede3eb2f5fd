"""The spool: requests come back as they were put in, from memory or from a file that leaves no trace."""

import tempfile
from dataclasses import replace

import pytest

from engines.request import Request
from llm_tasks.pipeline import spool
from llm_tasks.pipeline.spool import Spool

SAID = ["hello", "line\nbreak", "Amélie \u2028 ", 'a "quote" \\', "", "hello again"]
FIRST = Request("0" * 64, (), {"temperature": 0.5}, {"type": "text"})


def requests():
    for place, said in enumerate(SAID):
        kind = FIRST if place % 2 else replace(FIRST, sampling={"temperature": 0.5, "seed": 1})
        yield replace(kind, key=f"{place:064d}", messages=({"content": said, "role": "user"},))


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_requests_come_back_as_they_were_and_as_often_as_wanted(in_memory, monkeypatch, tmp_path):
    monkeypatch.setattr(spool, "IN_MEMORY", in_memory)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept, wanted = Spool(), {one.key: one for one in requests()}
    for request in wanted.values():
        kept.add(request)

    for _ in range(2):
        assert {one.key: one for one in kept.requests()} == wanted
    assert list(tmp_path.iterdir()) == []  # an unnamed file: not even a kill leaves it behind


def test_requests_that_begin_alike_come_together_within_a_window_and_two_readers_do_not_disturb_each_other(monkeypatch):
    monkeypatch.setattr(spool, "ORDERED_AT_ONCE", 3)
    kept = Spool()
    for number, said in enumerate(["b", "c", "a", "e", "d", "a"]):
        kept.add(replace(FIRST, key=f"{number:064d}", messages=({"content": said, "role": "user"},)))

    both = [
        (one.messages[0]["content"], two.messages[0]["content"])
        for one, two in zip(kept.requests(), kept.requests(), strict=True)
    ]

    assert both == [(said, said) for said in ("a", "b", "c", "a", "d", "e")]


def test_an_empty_spool_has_no_requests():
    assert list(Spool().requests()) == []
