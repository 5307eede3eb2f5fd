"""A stand-in for a model that answers google_novelty's prompts by a rule, from the prompt alone.

It shows that the techniques run from end to end and says nothing of what a language model would propose. A cluster is
described by its own name; the next cluster is the one that shares most values with the two, of equal ones the first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from base.frozen import Frozen
from engines.protocol import Engine, EngineConfig, EngineKind
from engines.request import Answer, ModelIdentity, Request
from prompts.domain import Domain

CLUSTER = re.compile(r"^- (.+?): ", flags=re.MULTILINE)
"""A line of the prompt that names a cluster and says what it is about."""


class NoveltyEngineOptions(Frozen):
    """scripted_novelty has no options."""


class NoveltyEngine:
    """Answers by the rules that the module's docstring says."""

    token_counter = "words between spaces"
    context_tokens: int | None = None

    def __init__(self, identity: ModelIdentity) -> None:
        self.identity = identity

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Words between spaces."""
        return sum(len(message["content"].split()) for message in messages)

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer one by one."""
        for request in requests:
            text, tokens = said(request.messages[-1]["content"]), self.count_tokens(request.messages)
            yield Answer(request.key, text, input_tokens=tokens, output_tokens=len(text.split()))


def said(shown: str) -> str:
    """What the rules say of a prompt."""
    liked, offered, others = shown.partition("Which one of the following")
    if not offered:
        return f"Films of {shown.splitlines()[-1]}."
    own = {value for cluster in CLUSTER.findall(liked) for value in cluster.split(", ")}
    return max(CLUSTER.findall(others), key=lambda cluster: _likeness(own, {*cluster.split(", ")}))


def _likeness(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)


def _build(config: EngineConfig, options: Any, domain: Domain, folder: Path, secret: Any) -> Engine:
    return NoveltyEngine(ModelIdentity(config.model, config.revision))


NOVELTY_ENGINE = EngineKind("scripted_novelty", "a rule in place of a model", NoveltyEngineOptions, _build)
