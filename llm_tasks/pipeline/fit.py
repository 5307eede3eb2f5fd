"""Rows that fit the model's context: the oldest events go first, or the row is told as too long before it is asked."""

from llm_tasks.pipeline.request import Request, answer_key
from llm_tasks.pipeline.task import Row, Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.prompt import Prompt

TEMPLATE_BYTES = 512
"""What a chat template adds at most, in tokens: a prompt is not counted when its bytes and these fit for certain."""


def fitted(row: Row, task: Task, prompt: Prompt, place: Workplace) -> tuple[Row, Request, str | None]:
    """Render a row, with less to show where it would not fit.

    A row fits when its prompt and `max_tokens` of answer fit the context together, so that no answer is cut off.

    Args:
        row: The technique's row.
        task: The technique.
        prompt: Its prompt.
        place: Engine and options.

    Returns:
        The row that fits, its request, and why it cannot be asked (None when it can).
    """
    request = make_request(row, task, prompt, place)
    room = place.engine.context_tokens
    if room is None or certain_to_fit(request, room):
        return row, request, None
    answer = int(request.sampling.get("max_tokens", 1))
    may_shorten = place.options_of(task.name).too_long == "drop_oldest"
    while True:
        tokens = place.engine.count_tokens(request.messages)
        if tokens + answer <= room:
            return row, request, None
        shorter = row.shorter() if may_shorten and row.shorter else None
        if shorter is None:
            fault = f"too_long: {tokens:,} tokens and an answer of {answer:,} do not fit the model's {room:,}"
            return row, request, fault
        row, request = shorter, make_request(shorter, task, prompt, place)


def certain_to_fit(request: Request, room: int) -> bool:
    """Whether a prompt fits without being counted: no token is less than a byte."""
    size = sum(len(message["content"].encode(errors="replace")) for message in request.messages)
    return size + TEMPLATE_BYTES + int(request.sampling.get("max_tokens", 1)) <= room


def make_request(row: Row, task: Task, prompt: Prompt, place: Workplace) -> Request:
    """Render a row into the request whose key names its answer."""
    messages = prompt.render(row.variables, place.domain)
    sampling, schema = prompt.front.sampling, prompt.front.answer_schema
    key = answer_key(messages, place.identity_of(task.name), sampling, schema)
    return Request(key, tuple(messages), sampling, schema, place.adapter_of(task.name))
