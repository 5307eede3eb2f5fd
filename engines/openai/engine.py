"""The openai engine: any number of OpenAI-compatible servers, vLLM or hosted, share the rows."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from engines.openai.messages import chat_body, unwrapped
from engines.openai.options import OpenAIOptions, read_key
from engines.openai.reach import ask_for_models
from engines.openai.reply import (
    Again,
    Barred,
    added,
    estimate_tokens,
    read_body,
    read_reply,
    spent_by,
    usage,
    with_spent,
)
from engines.openai.run import Http, running
from engines.openai.wording import shown
from engines.protocol import EngineFault, SecretReader
from engines.request import Answer, ModelIdentity, Request
from engines.vllm.tokens import special_of


class EstimatedTokens:
    """Estimates tokens without a tokenizer."""

    special: tuple[str, ...] = ()

    words = "an estimate, a quarter of the prompt's bytes; set engine.options.tokenizer for exact counts"

    def count(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Estimate the tokens of a rendered prompt."""
        return estimate_tokens(*(message["content"] for message in messages))


class ExactTokens:
    """Counts tokens with the model's tokenizer and chat template, as the server does.

    Args:
        folder: Folder of the tokenizer.
        template: Further variables of the chat template, as `extra.chat_template_kwargs` sends them.
    """

    def __init__(self, folder: str, template: Mapping[str, Any]) -> None:
        self._folder, self._template = folder, dict(template)
        self.words = f"counted exactly, with the tokenizer and chat template of {Path(folder).name}"

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer  # noqa: PLC0415  (seconds to import, and only a plan counts)

        try:
            tokenizer = AutoTokenizer.from_pretrained(self._folder)
        except Exception as error:
            raise EngineFault(f"engine.options.tokenizer: {self._folder} cannot be read: {error}") from error
        if not tokenizer.chat_template:
            raise EngineFault(
                f"engine.options.tokenizer: the tokenizer in {self._folder} has no chat template\n"
                "  put the chat_template.jinja that the server uses into the folder"
            )
        return tokenizer

    @cached_property
    def special(self) -> tuple[str, ...]:
        """Return the special tokens of the tokenizer."""
        return special_of(self._tokenizer)

    def count(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt."""
        return len(self.prompt_ids(messages))

    def prompt_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the token ids of a rendered prompt, up to the start of the answer."""
        return self._tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=False,
            **self._template,
        )

    def text_ids(self, text: str) -> list[int]:
        """Return the token ids of a text inside an answer."""
        return self._tokenizer.encode(text, add_special_tokens=False)


Tokens = EstimatedTokens | ExactTokens


NO_MODEL = re.compile(r"does not exist|no such model|model.{0,80}not found", re.IGNORECASE)
NO_TOKENS = "scores need the tokens of the prompt; name engine.options.tokenizer"
LEAST = -1e8
"""Replaces a log-probability that is not finite."""
CANNOT = "the server does not tell how likely it finds a given answer; vLLM does (`prompt_logprobs`)"


async def score(http: Http, url: str, request: Request, model: str, options: OpenAIOptions, tokens: Tokens) -> Answer:
    """Score all candidates of a request.

    Args:
        http: The session.
        url: Base address of the server.
        request: A request of the form `scores`.
        model: Name of the model or adapter.
        options: Options of the engine.
        tokens: Counts tokens; must be exact.

    Returns:
        A JSON object, candidate -> log-probability; or an error row that says why not.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will not answer any row for this model.
    """
    if not isinstance(tokens, ExactTokens):
        return _cannot(request, NO_TOKENS)
    prompt = tokens.prompt_ids(request.messages)
    extra = {name: value for name, value in options.extra.items() if name != "chat_template_kwargs"}
    scores: dict[str, float] = {}
    spent = Answer(request.key, None)
    for candidate in request.schema["candidates"]:
        ids = tokens.text_ids(candidate)
        body = {**extra, "model": model, "prompt": prompt + ids, "max_tokens": 1, "temperature": 0.0}
        try:
            reply = await http.post(url, "/completions", {**body, "prompt_logprobs": 0})
            said = read_body(reply, request)
            if isinstance(said, Answer):
                return with_spent(said, spent_by(spent))
            spent = with_spent(spent, usage(said, request, "")[0])
            found = _logprobs(said, len(prompt), ids)
        except Barred as barred:
            if barred.status in (404, 405) and not NO_MODEL.search(barred.words):
                return _cannot(request, f"{CANNOT}: {barred}")
            raise
        except Again as failure:  # the candidates before were paid for
            failure.spent = added(failure.spent, spent_by(spent))
            raise
        if found is None:
            return _cannot(request, f"{CANNOT}: {shown(reply.body)}")
        scores[candidate] = found
    return replace(spent, text=json.dumps(scores, ensure_ascii=False, separators=(",", ":")))


def _logprobs(said: dict[str, Any], begin: int, ids: list[int]) -> float | None:
    """Sum the log-probabilities of a candidate's tokens; None if the server returns none."""
    try:
        listed = said["choices"][0].get("prompt_logprobs") or said.get("prompt_logprobs")
        return None if not listed else _finite(sum(listed[begin + i][str(t)]["logprob"] for i, t in enumerate(ids)))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise Again("garbage", "the log-probabilities do not belong to the prompt that was sent") from None


def _finite(value: float) -> float:
    return min(0.0, max(LEAST, value)) if isfinite(value) else LEAST  # rounding may leave 1e-7 above 0


def _cannot(request: Request, why: str) -> Answer:
    return Answer(request.key, None, "unsupported", why)


class OpenAIEngine:
    """Asks OpenAI-compatible servers.

    Args:
        model: Name of the model on the servers.
        options: Options of the engine, with an absolute tokenizer path.
        revision: Revision of the model's weights.
        seen_until: Time of the newest event that the model was tuned on; None = none.
        secret: Reads a Prefect Secret block by name; None without Prefect.
    """

    def __init__(
        self,
        model: str,
        options: OpenAIOptions,
        revision: str = "",
        seen_until: datetime | None = None,
        secret: SecretReader | None = None,
    ) -> None:
        self._options = options
        self._secret = secret
        extra = self._options.extra
        self._tokens: Tokens = EstimatedTokens()
        if self._options.tokenizer:
            self._tokens = ExactTokens(self._options.tokenizer, extra.get("chat_template_kwargs", {}))
        # `extra` can change answers, so it is part of the identity like the revision.
        digest = hashlib.sha256(json.dumps(extra, sort_keys=True).encode()).hexdigest()[:8] if extra else ""
        revision = "+".join(part for part in (revision, digest) if part)
        self.identity = ModelIdentity(model, revision, seen_until=seen_until)
        self.token_counter = self._tokens.words
        self.context_tokens = self._options.context_tokens

    @property
    def in_flight(self) -> int:
        """Return how many rows the servers have at once."""
        return self._options.in_flight

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Return the special tokens of the tokenizer, if one is set, which data must not contain."""
        return self._tokens.special

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt; `token_counter` describes how."""
        return self._tokens.count(messages)

    def check(self, request: Request) -> None:
        """Check one request of a prompt before any call is paid for.

        Raises:
            EngineFault: The prompt uses something that no server supports.
        """
        if request.schema.get("type") != "scores":
            chat_body(request, self.identity.model, self._options)
        elif not isinstance(self._tokens, ExactTokens):
            raise EngineFault(f"{NO_TOKENS}\n  set it to the folder of the model's tokenizer")

    def reachable(self) -> str:
        """Ask each server for its list of models, which costs nothing; return what they said.

        Raises:
            EngineFault: The key is missing, a server does not answer, rejects the key or does not list the model.
        """
        return ask_for_models(self._options, read_key(self._options, self._secret), self.identity.model)

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yield answers as they finish; requests are taken only when there is capacity.

        Raises:
            EngineFault: The key is missing, or no server answers any more.
        """
        key, room = read_key(self._options, self._secret), self._options.in_flight
        waiting, source = 0, iter(requests)
        with running(self._options, key, self.identity.model, self._call) as run:
            more = True
            while True:
                while more and waiting < room:
                    request = next(source, None)
                    if request is None:
                        more = False
                    else:
                        run.ask(request)
                        waiting += 1
                if not waiting:
                    return
                answer = run.answer()
                waiting -= 1
                yield answer

    async def _call(self, http: Http, url: str, request: Request) -> Answer:
        options = self._options
        if request.schema.get("type") == "scores":
            model = request.adapter.name if request.adapter else self.identity.model
            return await score(http, url, request, model, options, self._tokens)
        reply = await http.post(url, "/chat/completions", chat_body(request, self.identity.model, options))
        answer = read_reply(reply, request)
        if answer.text is None:  # an error of this row
            return answer
        return replace(answer, text=unwrapped(answer.text, request.schema, options.structured))
