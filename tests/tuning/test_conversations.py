"""Conversations from a file: all that is wrong with it is told at once, with its line."""

import json

import pytest

from sources.faults import KINDS, SourceFaults
from tuning.conversations import digest, read_conversations

GOOD = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def write(tmp_path, *lines):
    path = tmp_path / "said.jsonl"
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return path


def test_conversations_come_in_the_order_of_the_file_and_other_keys_are_left_alone(tmp_path):
    longer = [{"role": "system", "content": "Be brief."}, *GOOD, *GOOD]
    path = write(tmp_path, {"messages": GOOD, "licence": "CC0"}, b"", {"messages": longer})

    assert read_conversations(path) == [tuple(GOOD), tuple(longer)]


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ("hi", "should be a list of messages"),
        ([], "should be a list of messages"),
        (["hi"], "message 1 should have a role and a content, and nothing else"),
        ([GOOD[0], {**GOOD[1], "tool_calls": []}], "message 2 should have a role and a content, and nothing else"),
        ([GOOD[0], {"role": "tool", "content": "7"}], "message 2 should have role system, user or assistant"),
        ([{"role": "user", "content": " "}, GOOD[1]], "message 1 has no text"),
        ([{"role": "user", "content": None}, GOOD[1]], "message 1 has no text"),
        ([{"role": "user", "content": chr(0xD800)}, GOOD[1]], "message 1 has no text"),
        (
            [*GOOD, {"role": "system", "content": "Be brief."}],
            "message 3 is a system message, which must come first",
        ),
        (GOOD[:1], "should have a user message and end with the assistant's answer"),
        (GOOD[1:], "should have a user message and end with the assistant's answer"),
    ],
)
def test_what_is_no_conversation_is_told_with_its_line(tmp_path, messages, told):
    with pytest.raises(SourceFaults, match=r"said\.jsonl: 1 fault") as caught:
        read_conversations(write(tmp_path, {"messages": GOOD}, {"messages": messages}))

    (fault,) = caught.value.faults
    assert (fault.row, fault.what) == (2, told)


def test_all_faults_are_told_at_once_and_can_be_left_out(tmp_path, caplog):
    path = write(tmp_path, b"{", {"messages": GOOD}, b"\xff", {"said": GOOD})

    with pytest.raises(SourceFaults) as caught:
        read_conversations(path)

    assert [fault.row for fault in caught.value.faults] == [1, 3, 4]
    with pytest.raises(SourceFaults) as caught:
        read_conversations(path, skip=["bad_values"])
    assert [fault.row for fault in caught.value.faults] == [1, 3]
    assert read_conversations(path, skip=KINDS) == [tuple(GOOD)]
    assert caplog.messages == ["said.jsonl: left out 3 rows with faults"]


def test_a_file_that_is_missing_or_holds_nothing_is_told(tmp_path):
    with pytest.raises(SourceFaults, match="there is no such file"):
        read_conversations(tmp_path / "none.jsonl")
    with pytest.raises(SourceFaults, match="holds no conversation"):
        read_conversations(write(tmp_path, b""))


def test_the_digest_is_of_the_text_and_its_order():
    other = [GOOD[0], {"role": "assistant", "content": "bye"}]
    turned = [dict(reversed(said.items())) for said in GOOD]

    assert digest([GOOD]) == digest([turned])
    assert len({digest([GOOD]), digest([other]), digest([GOOD, other]), digest([other, GOOD])}) == 4
