"""Conversations to learn from: one per line of a JSONL file, `{"messages": [{"role": ..., "content": ...}, ...]}`."""

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from engines.request import is_utf8, messages_json
from sources.faults import Fault, FaultKind, SourceFaults
from sources.records import Broken, jsonl_records

logger = logging.getLogger("sources")
Conversation = tuple[Mapping[str, str], ...]
"""Messages ending with the assistant's: the answer to learn."""
ROLES = ("system", "user", "assistant")
FIX_PATH = "give a JSONL file of conversations"
FIX = 'write {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'


def read_conversations(path: Path, skip: Collection[FaultKind] = ()) -> list[Conversation]:
    """Read a JSONL file of conversations; keys other than `messages`, such as source and licence, are ignored.

    Args:
        path: The file.
        skip: Leave out lines with faults of these kinds, and log how many.

    Raises:
        SourceFaults: The file has faults; all are listed at once.
    """
    if not path.is_file():
        raise SourceFaults([Fault(str(path), None, None, None, "there is no such file", FIX_PATH)])
    found: list[Conversation] = []
    faults: list[Fault] = []
    for line, record in jsonl_records(path):
        if isinstance(record, Broken):
            faults.append(Fault(path.name, line, None, None, record.what, record.fix, "broken_lines"))
        elif wrong := _what_is_wrong(record.get("messages")):
            faults.append(Fault(path.name, line, "messages", None, wrong, FIX))
        else:
            found.append(tuple({"role": said["role"], "content": said["content"]} for said in record["messages"]))
    if stops := [fault for fault in faults if fault.kind not in skip]:
        raise SourceFaults(stops)
    if faults:
        logger.warning("%s: left out %d rows with faults", path.name, len(faults))
    if not found:
        raise SourceFaults([Fault(path.name, None, None, None, "holds no conversation", FIX)])
    return found


def _what_is_wrong(messages: Any) -> str | None:
    """Return why messages are not a conversation; None if they are one."""
    if not isinstance(messages, list) or not messages:
        return "should be a list of messages"
    for place, said in enumerate(messages, 1):
        if wrong := _what_is_wrong_with(said, place):
            return f"message {place} {wrong}"
    if messages[-1]["role"] != "assistant" or all(said["role"] != "user" for said in messages):
        return "should have a user message and end with the assistant's answer"
    return None


def _what_is_wrong_with(said: Any, place: int) -> str | None:
    if not isinstance(said, dict) or said.keys() != {"role", "content"}:
        return "should have a role and a content, and nothing else"
    if said["role"] not in ROLES:
        return f"should have role {', '.join(ROLES[:-1])} or {ROLES[-1]}"
    if not isinstance(said["content"], str) or not said["content"].strip() or not is_utf8(said["content"]):
        return "has no text"
    return "is a system message, which must come first" if said["role"] == "system" and place > 1 else None


def digest(conversations: Iterable[Conversation]) -> str:
    """Hash conversations in their order: 16 hexadecimal digits.

    Example:
        >>> said = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})
        >>> digest([said]) == digest([said, said])
        False
    """
    found = hashlib.sha256()
    for conversation in conversations:
        found.update(messages_json(conversation) + b"\n")
    return found.hexdigest()[:16]
