"""Rows that fit the model's context: the oldest events go first, or the row is told as too long before it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.protocol import Engine
from engines.request import Adapter, AnswerKeys, Request, is_utf8, messages_json
from llm_tasks.pipeline.task import Row, Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.domain import Domain
from prompts.prompt import Prompt

TEMPLATE_BYTES = 512
"""What a chat template adds at most, in tokens: a prompt is not counted when its bytes and these fit for certain."""
NOT_UTF8 = "not_utf8: the prompt holds characters that cannot be sent (half of a surrogate pair)"


@dataclass(frozen=True)
class Renderer:
    """Turns the rows of one technique into requests; what all of them share is found once."""

    prompt: Prompt
    """The technique's prompt."""
    domain: Domain
    """The words of the domain."""
    engine: Engine
    """Who counts tokens."""
    keys: AnswerKeys
    """Names the answers."""
    adapter: Adapter | None
    """The technique's LoRA adapter."""
    may_shorten: bool
    """Whether a row that is too long may show less."""

    @classmethod
    def of(cls, task: Task, prompt: Prompt, place: Workplace) -> "Renderer":
        """Make the renderer of a technique."""
        front, options = prompt.front, place.options_of(task)
        keys = AnswerKeys(place.identity_of(task), front.sampling, front.answer_schema)
        may_shorten = options.too_long == "drop_oldest"
        return cls(prompt, place.domain, place.engine, keys, place.adapter_of(task), may_shorten)

    def request(self, row: Row) -> Request:
        """Render a row into the request whose key names its answer."""
        return self.render(row.variables)

    def render(self, variables: Mapping[str, Any]) -> Request:
        """Render what a prompt shows into the request whose key names its answer."""
        messages, front = self.prompt.render(variables, self.domain), self.prompt.front
        key = self.keys.key(messages_json(messages))
        return Request(key, tuple(messages), front.sampling, front.answer_schema, self.adapter)

    def fitted(self, row: Row) -> tuple[Row, Request, str | None]:
        """Render a row, with less to show where it would not fit.

        A row fits when its prompt and `max_tokens` of answer fit the context together, so that no answer is cut off.

        Returns:
            The row that fits, its request, and why it cannot be asked (None when it can).
        """
        request = self.request(row)
        while True:
            fault = why_unfit(request, self.engine)
            may_help = fault is not None and fault != NOT_UTF8 and self.may_shorten
            shorter = row.shorter() if may_help and row.shorter else None
            if shorter is None:
                return row, request, fault
            row, request = shorter, self.request(shorter)


def why_unfit(request: Request, engine: Engine) -> str | None:
    """Why a request cannot be asked of an engine, as `kind: sentence`; None when it can."""
    room = engine.context_tokens
    if not all(is_utf8(message["content"]) for message in request.messages):
        return NOT_UTF8
    if room is None or certain_to_fit(request, room):
        return None
    tokens, answer = engine.count_tokens(request.messages), answer_tokens(request)
    if tokens + answer <= room:
        return None
    return f"too_long: {tokens:,} tokens and an answer of {answer:,} do not fit the model's {room:,}"


def answer_tokens(request: Request) -> int:
    """How many tokens an answer takes at most; candidates that are scored count by their bytes."""
    longest = max((len(candidate.encode()) for candidate in request.schema.get("candidates", ())), default=1)
    return max(int(request.sampling.get("max_tokens", 1)), longest)


def certain_to_fit(request: Request, room: int) -> bool:
    """Whether a prompt fits without being counted: no token is less than a byte."""
    size = sum(len(message["content"].encode()) for message in request.messages)
    return size + TEMPLATE_BYTES + answer_tokens(request) <= room
