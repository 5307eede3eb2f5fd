"""Feeds rows to vLLM's own scheduler: a bounded number at once, each answer handed on the moment it has finished."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from engines.protocol import EngineFault
from engines.request import Answer, Request
from engines.vllm.load import BUSY, Loaded
from engines.vllm.sampling import ParamsMaker
from engines.vllm.scores import BETWEEN, Scoring
from engines.vllm.tokens import ChatTokens

CUT_OFF = "cut off at max_tokens"
FAILED = {"error": "vLLM broke off this row", "abort": "vLLM aborted this row"}


class Feed:
    """One run of requests through one loaded model.

    Args:
        loaded: The model.
        tokens: Its tokenizer.
        in_flight: How many rows may be inside vLLM at once.
        room: Tokens of prompt and answer that fit the model.
    """

    def __init__(self, loaded: Loaded, tokens: ChatTokens, in_flight: int, room: int) -> None:
        self._loaded, self._tokens, self._most, self._room = loaded, tokens, in_flight, room
        self._engine: Any = loaded.llm.llm_engine
        self._params = ParamsMaker()
        self._texts: set[str] = set()
        self._scorings: dict[str, Scoring] = {}

    def run(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """Answer requests in the order in which they finish.

        Whatever ends the run early (an error, an interrupt, a caller who wants no more), vLLM is left with nothing in
        flight, ready for the next run.

        Raises:
            EngineFault: vLLM broke off, or is answering another run.
        """
        if not self._loaded.busy.acquire(blocking=False):
            raise EngineFault(BUSY)
        try:
            more = True
            while True:
                while more and self._under_way < self._most:
                    request = next(requests, None)
                    more = request is not None
                    if request is not None and (refused := self._add(request)):
                        yield refused
                if not self._under_way:
                    return
                for output in self._step():
                    if answer := self._take(output):
                        yield answer
        finally:
            self._abort_all()
            self._loaded.busy.release()

    @property
    def _under_way(self) -> int:
        return len(self._texts) + len(self._scorings)

    def _add(self, request: Request) -> Answer | None:
        """Hand one row to vLLM; returns its error when it cannot be asked."""
        try:
            ids = self._tokens.ids(request.messages)
        except (UnicodeError, TypeError) as error:
            return _error(request, "not_utf8", f"the prompt holds characters that cannot be sent: {error}")
        except Exception as error:  # templates raise what they like
            return _error(request, "bad_template", f"the chat template does not take these messages: {error}")
        scoring = Scoring.of(request, ids, self._tokens) if request.schema.get("type") == "scores" else None
        needed = scoring.longest if scoring else len(ids) + 1
        if not ids:
            return _error(request, "empty_prompt", "the chat template makes no token of these messages")
        if needed > self._room:
            return _error(request, "too_long", f"{needed:,} tokens do not fit the model's {self._room:,}", len(ids))
        fault = self._hand_over(request, ids, scoring)
        if fault is not None:
            return _error(request, *fault, len(ids))
        if scoring:
            self._scorings[request.key] = scoring
        else:
            self._texts.add(request.key)
        return None

    def _hand_over(self, request: Request, ids: list[int], scoring: Scoring | None) -> tuple[str, str] | None:
        """Hand all parts of one row to vLLM, or none; returns kind and words of what is wrong."""
        from vllm.exceptions import VLLMClientError  # noqa: PLC0415 - loaded by now

        adapter, added = self._loaded.adapters.request(request.adapter), []
        try:
            parts = scoring.parts() if scoring else [(request.key, ids, self._params.params(request))]
            for name, prompt, params in parts:
                tokens = {"type": "token", "prompt_token_ids": prompt}
                added.append(self._engine.add_request(name, tokens, params, lora_request=adapter))
        except (VLLMClientError, ValueError) as error:  # some checks of forms still raise ValueError
            self._engine.abort_request(added, internal=True)
            return "bad_schema" if request.schema.get("type") in ("object", "choice") else "refused", str(error)
        return None

    def _step(self) -> list[Any]:
        try:
            return self._engine.step()
        except Exception as error:
            raise EngineFault(
                f"vLLM broke off with {self._under_way:,} rows in flight: {type(error).__name__}: {error}\n"
                "  what was answered is kept, the same command goes on from there; where memory is short, lower"
                " in_flight or max_model_len under engine.options"
            ) from error

    def _take(self, output: Any) -> Answer | None:
        """Turn one finished output into an answer; None while parts of a request are still missing."""
        if not output.finished:
            return None
        key = output.request_id.partition(BETWEEN)[0]
        scoring = self._scorings.get(key)
        if scoring:
            answer = scoring.take(output)
            if answer:
                del self._scorings[key]
            return answer
        self._texts.remove(key)
        (made,) = output.outputs
        spent = {
            "input_tokens": len(output.prompt_token_ids),
            "output_tokens": len(made.token_ids),
            "cached_tokens": output.num_cached_tokens or 0,
        }
        if made.finish_reason in FAILED:
            return Answer(key, None, error="broke_off", detail=FAILED[made.finish_reason], **spent)
        return Answer(key, made.text, detail=CUT_OFF if made.finish_reason == "length" else "", **spent)

    def _abort_all(self) -> None:
        """Leave nothing in flight; an engine that broke off may no longer know what it held."""
        left = list(self._engine.output_processor.request_states)
        with suppress(Exception):
            if left:
                self._engine.abort_request(left, internal=True)


def _error(request: Request, kind: str, detail: str, tokens: int = 0) -> Answer:
    return Answer(request.key, None, error=kind, detail=detail, input_tokens=tokens)
