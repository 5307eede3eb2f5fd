"""An engine of the tests' own: it answers any request, by rules, and notes every call in a file."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.protocol import EngineConfig
from engines.request import Answer, ModelIdentity, Request
from prompts.domain import Domain

WORDS = [
    "warm",
    "slow",
    "bright",
    "noir",
    "tender",
    "comic",
    "grim",
    "vast",
    "quiet",
    "loud",
    "rural",
    "urban",
    "heist",
    "court",
    "space",
    "ocean",
    "family",
    "exile",
    "music",
    "winter",
    "summer",
    "ghost",
    "robot",
    "chess",
]


class ScriptedEngine:
    """Options, all of them optional.

    calls: file that gets a line `asked KEY` when a request is taken and `gave KEY` just before its answer is yielded.
    in_flight: how many requests are taken ahead.
    seconds: pause before each answer.
    context_tokens: tokens of prompt and answer that fit together.
    free: whether the engine says that its answers cost nothing.
    rules: text that stands in the last line of a prompt -> what comes back for it: `empty`, `silent` (neither text nor
        error), `error:KIND`, `cut off`, `broken` (half of a surrogate pair), `refused` and `long` (errors), `raise`, `stop`, `twice`, or a text.
    """

    token_counter = "words between spaces"

    def __init__(self, config: EngineConfig, domain: Domain, folder: Path) -> None:
        self.identity = ModelIdentity(config.model, config.revision, seen_until=config.told_until)
        options: dict[str, Any] = dict(config.options)
        self.context_tokens: int | None = options.get("context_tokens")
        self.costs_nothing: bool = options.get("free", False)
        self._calls = folder / options.get("calls", "calls.txt")
        self.in_flight, self._seconds = options.get("in_flight", 1), options.get("seconds", 0.0)
        self._rules: dict[str, str] = options.get("rules", {})

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        return sum(len(message["content"].split()) for message in messages)

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        source, waiting = iter(requests), []
        while True:
            while len(waiting) < self.in_flight and (request := next(source, None)) is not None:
                self._note("asked", request)
                waiting.append(request)
            if not waiting:
                return
            request = waiting.pop(0)
            time.sleep(self._seconds)
            rule = self._rule(request)
            if rule == "raise":
                raise ConnectionError("the server is gone")
            if rule == "stop":
                return
            self._note("gave", request)
            yield self._answer(request, rule)
            if rule == "twice":
                yield self._answer(request, rule)

    def _note(self, what: str, request: Request) -> None:
        with self._calls.open("a") as file:
            file.write(f"{what} {request.key}\n")

    def _rule(self, request: Request) -> str | None:
        shown = request.messages[-1]["content"].splitlines()[-1]
        return next((rule for text, rule in self._rules.items() if text in shown), None)

    def _answer(self, request: Request, rule: str | None) -> Answer:
        tokens = self.count_tokens(request.messages)
        if rule == "silent":
            return Answer(request.key, None, input_tokens=tokens)
        if rule and rule.startswith("error:"):
            return Answer(request.key, None, rule.removeprefix("error:"), "as the rule says", input_tokens=tokens)
        if rule == "cut off":
            return Answer(request.key, "A warm, well pac", None, "", tokens, 160, finish="length")
        if rule == "refused":
            return Answer(request.key, None, error="refused", detail="the model will not", input_tokens=tokens)
        if rule == "long":
            return Answer(request.key, None, error="too_long", detail="9,000 of 4,096 tokens", input_tokens=tokens)
        known = {"empty": " \n", "broken": "half \ud800", None: words(request.key), "twice": words(request.key)}
        text = known.get(rule, str(rule))
        return Answer(request.key, text, input_tokens=tokens, output_tokens=len(text.split()))


def words(key: str) -> str:
    """Eight words that depend on the key alone, so that an answer shows whose it is."""
    digest = hashlib.sha256(key.encode()).digest()
    return " ".join(WORDS[byte % len(WORDS)] for byte in digest[:8]) + f" answer{key[:12]}"
