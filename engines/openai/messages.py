"""Build the call to an OpenAI-compatible server for a request."""

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
"""Field of the object that a choice is wrapped in: hosted services can only constrain objects."""
OURS = frozenset({"model", "messages", "n", "stream"})
"""Fields that a prompt's sampling must not set."""


def chat_body(request: Request, model: str, options: OpenAIOptions) -> dict[str, Any]:
    """Build the body of a chat completion.

    A LoRA adapter is requested by sending its name instead of the model's, which is how vLLM serves adapters. Sampling
    parameters are sent as the prompt names them; a server may reject those it does not support (`top_k`, `min_p`).
    Without a temperature the most likely tokens are taken; sampled tokens use the row's own seed, made from its answer
    key, as in the vllm engine, so that the same key stands for the same answer.

    Args:
        request: The request.
        model: Name of the model on the server.
        options: Options of the engine.

    Raises:
        EngineFault: The prompt's sampling sets a field that is not a sampling parameter.
    """
    sampling = dict(request.sampling)
    if wrong := sorted(OURS & sampling.keys()):
        raise EngineFault(f"the prompt's sampling must not set {', '.join(wrong)}\n  remove it from the prompt file")
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
    """Return the fields that constrain the server to a declared form; empty for text.

    Args:
        declared: The prompt's `schema`.
        structured: How to request it; see `OpenAIOptions.structured`.
    """
    return _constraint(json.dumps(dict(declared)), structured)  # unsorted: the order of fields is that of the answer


@lru_cache(maxsize=64)
def _constraint(declared: str, structured: str) -> dict[str, Any]:
    """Build the fields once per form, because pydantic takes a millisecond to make a schema."""
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
    """Unwrap a choice from the object that `constraint` wrapped it in; any other text is returned unchanged.

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
