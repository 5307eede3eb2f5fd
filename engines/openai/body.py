"""From a request to what an OpenAI-compatible server is sent."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from engines.openai.options import OpenAIOptions
from engines.protocol import EngineFault
from engines.request import Request
from engines.vllm.sampling import SEED_DIGITS, with_real_characters
from prompts.schema import ChoiceSchema, ObjectSchema, read_schema

WRAPPED = "answer"
"""Field of the object that a choice is wrapped in: hosted services constrain objects alone."""
OURS = frozenset({"model", "messages", "n", "stream"})
"""Fields that a prompt's sampling must not set."""


def chat_body(request: Request, model: str, options: OpenAIOptions) -> dict[str, Any]:
    """Word a request as a chat completion.

    A LoRA adapter is asked for by its name in place of the model's: that is how vLLM serves adapters. Sampling
    parameters go as the prompt names them; those that only some servers know (`top_k`, `min_p`) are theirs to refuse.
    Without a temperature the likeliest tokens are taken, and tokens that are drawn are drawn by the row's own seed,
    made of its answer key: as by the vLLM engine in process, so that the same key stands for the same answer.

    Args:
        request: The request.
        model: Name under which the model is served.
        options: Of the engine.

    Raises:
        EngineFault: The prompt's sampling asks for what is no sampling.
    """
    sampling = dict(request.sampling)
    if wrong := sorted(OURS & sampling.keys()):
        raise EngineFault(f"the prompt's sampling must not set {', '.join(wrong)}\n  take it out of the prompt file")
    sampling.setdefault("temperature", 0.0)
    if options.seed_rows and sampling["temperature"] != 0:
        sampling.setdefault("seed", int(request.key[:SEED_DIGITS], 16))
    if "max_tokens" in sampling:
        sampling = {options.output_limit: sampling.pop("max_tokens"), **sampling}
    return {
        **options.extra,
        "model": request.adapter.name if request.adapter else model,
        "messages": [dict(message) for message in request.messages],
        **sampling,
        **constraint(request.schema, options.structured),
    }


def constraint(declared: Mapping[str, Any], structured: str) -> dict[str, Any]:
    """The fields that hold the server to a declared form; none for text.

    Args:
        declared: The prompt's `schema`.
        structured: How it is asked for; see `OpenAIOptions.structured`.
    """
    return _constraint(json.dumps(dict(declared)), structured)  # as declared: the order of fields is that of the answer


@lru_cache(maxsize=64)
def _constraint(declared: str, structured: str) -> dict[str, Any]:
    """Worked out once a form, for pydantic takes a millisecond to make a schema."""
    schema = read_schema(json.loads(declared))
    if structured == "none":
        return {}
    if isinstance(schema, ObjectSchema):
        wanted = schema.json_schema()
        if structured == "vllm":
            return {"structured_outputs": {"json": with_real_characters(wanted)}}
        return _response_format(wanted)
    if isinstance(schema, ChoiceSchema):
        if structured == "vllm":
            return {"structured_outputs": {"choice": list(schema.choices)}}
        wanted = {"type": "string", "enum": list(schema.choices)}
        return _response_format(
            {"type": "object", "properties": {WRAPPED: wanted}, "required": [WRAPPED], "additionalProperties": False}
        )
    return {}


def unwrapped(text: str, declared: Mapping[str, Any], structured: str) -> str:
    """Take a choice out of the object that `constraint` wrapped it in; any other text stays as it came.

    Example:
        >>> unwrapped('{"answer": "Yes"}', {"type": "choice", "choices": ["Yes", "No"]}, "json_schema")
        'Yes'
    """
    if declared.get("type") != "choice" or structured != "json_schema":
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    wrapped = found.get(WRAPPED) if isinstance(found, dict) and len(found) == 1 else None
    return wrapped if isinstance(wrapped, str) else text


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
        }
    }
