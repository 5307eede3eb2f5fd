"""Fit rows into the model's context: drop the oldest events, or report the row as too long before it is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.protocol import Engine, special_tokens
from engines.request import Adapter, AnswerKeys, Request, is_utf8, messages_json
from llm_tasks.pipeline.task import Row, Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.filled import Filled, Message
from prompts.prompt import Prompt

TEMPLATE_BYTES = 512
"""What a chat template adds at most, in tokens: a prompt is not counted if its bytes plus this are sure to fit."""
NOT_UTF8 = "not_utf8: the prompt holds characters that cannot be sent (half of a surrogate pair)"


@dataclass(frozen=True)
class Renderer:
    """Turns the rows of one technique into requests; what they share is computed once."""

    prompt: Prompt
    """The technique's prompt."""
    filled: Filled
    """The same in the domain; it knows the special tokens of the engine's tokenizer, which data must not contain."""
    engine: Engine
    """Counts tokens."""
    keys: AnswerKeys
    """Makes the keys of answers."""
    adapter: Adapter | None
    """The technique's LoRA adapter."""
    may_shorten: bool
    """Whether a row that is too long may show less."""

    @classmethod
    def of(cls, task: Task, prompt: Prompt, workplace: Workplace) -> "Renderer":
        """Build the renderer of a technique."""
        front, options = prompt.front, workplace.options_of(task)
        keys = AnswerKeys(workplace.identity_of(task), front.sampling, front.answer_schema)
        may_shorten = options.too_long == "drop_oldest"
        filled = prompt.filled(workplace.domain, special_tokens(workplace.engine))
        return cls(prompt, filled, workplace.engine, keys, workplace.adapter_of(task), may_shorten)

    def request(self, row: Row) -> Request:
        """Render a row into a request; its key is the key of the answer."""
        return self.render(row.variables)

    def render(self, variables: Mapping[str, Any]) -> Request:
        """Render variables into a request; its key is the key of the answer."""
        messages = self.filled.render(variables)
        return self.request_of(self.keys.key(messages_json(messages)), messages)

    def request_of(self, key: str, messages: Sequence[Message]) -> Request:
        """Return the request of rendered messages, whose key is known."""
        return Request(key, tuple(messages), self.prompt.front.sampling, self.prompt.front.answer_schema, self.adapter)

    def room_for(self, constant: str) -> int | None:
        """Return how many bytes beside a prompt's constant text are sure to fit the context; None if any number."""
        room, front = self.engine.context_tokens, self.prompt.front
        if room is None:
            return None
        return room - tokens_at_most(Request("", ({"content": constant},), front.sampling, front.answer_schema))

    def fitted(self, row: Row) -> tuple[Row, Request, str | None]:
        """Render a row, showing less if it would not fit.

        A row fits if its prompt and `max_tokens` of answer together fit the context, so that no answer is cut off.

        Returns:
            The row that fits, its request, and why it cannot be asked (None if it can).
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
    """Return why a request cannot be sent to an engine, as `kind: sentence`; None if it can."""
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
    """Return the maximum number of tokens of an answer; candidates to score count by their bytes."""
    longest = max((len(candidate.encode()) for candidate in request.schema.get("candidates", ())), default=1)
    return max(int(request.sampling.get("max_tokens", 1)), longest)


def certain_to_fit(request: Request, room: int) -> bool:
    """Return whether a prompt is sure to fit without counting tokens: a token is at least one byte."""
    return tokens_at_most(request) <= room


def tokens_at_most(request: Request) -> int:
    """Return how many tokens a prompt and its answer have at most: a token is at least one byte."""
    size = sum(len(message["content"].encode()) for message in request.messages)
    return size + TEMPLATE_BYTES + answer_tokens(request)
