"""Scores of candidates from a server: the log-probability of each as the answer, by way of `prompt_logprobs` of vLLM.

The candidate's tokens are put behind the prompt's and the server is asked how likely it finds them, one call each.
"""

import json
import re
from dataclasses import replace
from math import isfinite
from typing import Any

from engines.openai.http import Http
from engines.openai.options import OpenAIOptions
from engines.openai.reply import Again, Barred, read_body, shown, usage
from engines.openai.tokens import ExactTokens, Tokens
from engines.request import Answer, Request

NO_MODEL = re.compile(r"does not exist|no such model|model.{0,80}not found", re.IGNORECASE)
NO_TOKENS = "scores need the tokens of the prompt; name engine.options.tokenizer"
LEAST = -1e8
"""Stands for a log-probability that is no finite number."""
CANNOT = "the server does not tell how likely it finds a given answer; vLLM does (`prompt_logprobs`)"


async def score(http: Http, url: str, request: Request, model: str, options: OpenAIOptions, tokens: Tokens) -> Answer:
    """Score all candidates of a request.

    Args:
        http: Session.
        url: Base address of the server.
        request: Its form is `scores`.
        model: Name of the model or adapter.
        options: Of the engine.
        tokens: Must be exact.

    Returns:
        A JSON object, candidate -> log-probability; or an error row that says why it cannot be.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will answer no row of this model.
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
        reply = await http.post(url, "/completions", {**body, "prompt_logprobs": 0})
        try:
            said = read_body(reply, request)
        except Barred as barred:
            if barred.status in (404, 405) and not NO_MODEL.search(barred.words):
                return _cannot(request, f"{CANNOT}: {barred}")
            raise
        if isinstance(said, Answer):
            return said
        given, made, cached = usage(said, request, "")
        spent = replace(
            spent,
            input_tokens=spent.input_tokens + given,
            output_tokens=spent.output_tokens + made,
            cached_tokens=spent.cached_tokens + cached,
        )
        found = _logprobs(said, len(prompt), ids)
        if found is None:
            return _cannot(request, f"{CANNOT}: {shown(reply.body)}")
        scores[candidate] = found
    return replace(spent, text=json.dumps(scores, ensure_ascii=False, separators=(",", ":")))


def _logprobs(said: dict[str, Any], begin: int, ids: list[int]) -> float | None:
    """Sum the log-probabilities of the tokens of a candidate; None when the server tells none."""
    try:
        listed = said["choices"][0].get("prompt_logprobs") or said.get("prompt_logprobs")
        return None if not listed else _finite(sum(listed[begin + i][str(t)]["logprob"] for i, t in enumerate(ids)))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise Again("garbage", "the log-probabilities do not belong to the prompt that was sent") from None


def _finite(value: float) -> float:
    return min(0.0, max(LEAST, value)) if isfinite(value) else LEAST  # rounding may leave 1e-7 above 0


def _cannot(request: Request, why: str) -> Answer:
    return Answer(request.key, None, "unsupported", why)
