"""What tests of the openai engine ask with: short engines, rows, and servers that behave by rules."""

import threading
import time
from collections.abc import Callable, Iterator

from fault_server import Behave, Served

from engines.openai.engine import OpenAIEngine
from engines.openai.options import OpenAIOptions
from engines.request import Adapter, Request

QUICK = {"attempts": 3, "backoff": 0.01, "probe_after": 0.05, "give_up_after": 30, "timeout": 30}
TEXT = {"type": "text"}


def engine(*servers: Served | str, **options) -> OpenAIEngine:
    urls = [server if isinstance(server, str) else server.url for server in servers]
    return engine_of("tiny", urls=urls, **{**QUICK, **options})


def engine_of(model: str, **options) -> OpenAIEngine:
    return OpenAIEngine(model, OpenAIOptions.model_validate(options))


def request(prompt: str, schema=None, adapter: Adapter | None = None, **sampling) -> Request:
    return Request(prompt, ({"role": "user", "content": prompt},), sampling, schema or TEXT, adapter)


def requests(number: int, name: str = "row") -> Iterator[Request]:
    return (request(f"{name} {place}") for place in range(number))


def good(call) -> str:
    return "good"


def by_rule(rules: dict[str, Callable | str]) -> Behave:
    """Behave by what stands in the prompt, else well."""

    def behave(call):
        rule = next((rule for part, rule in rules.items() if part in call.prompt), "good")
        return rule(call) if callable(rule) else rule

    return behave


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "openai engine"]


class RateLimit:
    """Admits so many calls a second, with no more than a tenth of a second's worth saved up."""

    def __init__(self, per_second: float) -> None:
        self._per_second, self._most = per_second, max(1.0, per_second / 10)
        self._left, self._seen = self._most, time.monotonic()

    def admits(self) -> bool:
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
