"""A stand-in for a model for which it is known how good a prompt is: it ranks as well as the prompt tells it to.

Two instructions help and one does harm. Asked to rank, the engine puts candidates with the main topic of the history
first with the probability `quality`, else it ranks by chance. Asked to rewrite a prompt, it writes a better, a neutral,
a worse or a broken one, by chance too. All chance is a hash of the question and the model's revision.
"""

import hashlib
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from base.frozen import Frozen
from engines.protocol import Engine, EngineConfig, EngineKind
from engines.request import Answer, ModelIdentity, Request
from prompts.domain import Domain

HELPS = ("Weigh the newest events most.", "Name the topics first.")
HARMS = "Ignore the history."
NEUTRAL = ("Be concise.", "Think step by step.", "Take your time.", "You are an expert.")
BROKEN = ("{{ secret }}", "{{ history", "")
KINDS = {"better": 0.3, "neutral": 0.55, "worse": 0.8, "broken": 1.01}
"""Kind of a rewrite -> upper end of its share."""
FENCED = re.compile(r"^```\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
LINE = re.compile(r"^(\d+)\. .* about (\w+)$", flags=re.MULTILINE)
TOPIC = re.compile(r" about (\w+)")


class OptimiseEngineOptions(Frozen):
    """Options of scripted_optimise."""

    fails_after: int | None = None
    """The engine fails after this many answers of a process, as if its server were gone."""
    killed_after: int | None = None
    """The process is killed after this many answers."""


def quality(text: str, first: float = 0.2, step: float = 0.35) -> float:
    """Return how good a prompt is: `first`, `step` more with each helpful line, 0.2 less with the harmful one."""
    return first + step * sum(one in text for one in HELPS) - 0.2 * (HARMS in text)


def chance(*what: Any) -> float:
    """Return a number from 0 to 1 that depends on what is given alone."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:6]) / 2**48


def rewritten(prompt: str, kind: float, which: float) -> str:
    """Return what the reflecting side writes.

    Args:
        prompt: The prompt, as it stands in a file.
        kind: From 0 to 1: whether it is better, neutral, worse or broken.
        which: From 0 to 1: which line it gets.
    """
    named = next(name for name, upto in KINDS.items() if kind < upto)
    better = [one for one in HELPS if one not in prompt] or NEUTRAL
    lines = {"better": better, "neutral": NEUTRAL, "worse": (HARMS,), "broken": BROKEN}[named]
    line, kept = lines[int(which * len(lines))], prompt.replace(HARMS, "") if named == "better" else prompt
    text = kept.replace("# user\n", f"# user\n{line}\n", 1) if line else kept.replace("{{ candidates }}", "")
    return f"It should say more.\n```\n{text}\n```"


class OptimiseEngine:
    """Answers by the rules that the module's docstring says."""

    token_counter = "words between spaces"
    context_tokens: int | None = None

    def __init__(self, identity: ModelIdentity, options: OptimiseEngineOptions) -> None:
        self.identity, self._options, self._given = identity, options, 0

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count words between spaces."""
        return sum(len(message["content"].split()) for message in messages)

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer one by one."""
        for request in requests:
            if self._given == self._options.fails_after:
                raise ConnectionError("the server is gone")
            if self._given == self._options.killed_after:
                os.kill(os.getpid(), signal.SIGKILL)
            self._given += 1
            text, tokens = self._said(request), self.count_tokens(request.messages)
            yield Answer(request.key, text, input_tokens=tokens, output_tokens=len(text.split()))

    def _said(self, request: Request) -> str:
        shown, seed = request.messages[-1]["content"], self.identity.revision
        if fenced := FENCED.findall(shown):
            if "numbered list of at most three" in shown:
                return "1. It does not say what matters."
            if shown.startswith("Say the prompt below in other words"):
                return f"```\n{fenced[-1].replace('Below is', 'Here is')}\n```"
            return rewritten(fenced[0], chance(seed, request.key, "kind"), chance(seed, request.key, "line"))
        told, _, listed = shown.partition("Candidates:")
        topics = Counter(TOPIC.findall(told))
        main = topics.most_common(1)[0][0] if topics else ""
        right = chance(seed, request.key) < quality(shown)
        numbers = sorted(LINE.findall(listed), key=lambda one: chance(seed, request.key, one))
        if right:
            numbers.sort(key=lambda one: one[1] != main)
        return json.dumps({"topics": [main if right else "nothing"], "ranking": [number for number, _ in numbers]})


def _build(config: EngineConfig, options: OptimiseEngineOptions, domain: Domain, folder: Path, secret: Any) -> Engine:
    return OptimiseEngine(ModelIdentity(config.model, config.revision), options)


OPTIMISE_ENGINE = EngineKind(
    "scripted_optimise", "ranks as well as the prompt tells it to", OptimiseEngineOptions, _build
)
