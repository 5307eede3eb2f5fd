"""From what a prompt file says of sampling and form to what vLLM takes."""

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from base.frozen import Frozen
from engines.protocol import EngineFault
from engines.request import Request
from prompts.schema import ChoiceSchema, ObjectSchema, ScoresSchema, TextSchema, read_schema

CHARACTER = "[ !#-[\\]-\ud7ff\ue000-\U0010ffff]"
"""A character of a JSON string but for controls, quote and backslash."""
SHORT = 100
"""Longest `max_length` that is made a pattern: beyond it patterns cost several times what `maxLength` does."""
SEED_DIGITS = 12
"""Hexadecimal digits of the answer key that make the seed of a row."""


class Sampling(Frozen):
    """What a prompt may say under `sampling:`."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Length of the answer at most; must be said for texts and objects."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """0 takes the likeliest token each time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability that tokens are drawn from."""
    top_k: int = Field(default=0, ge=0)
    """How many of the likeliest tokens are drawn from; 0 = all."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """How likely a token must be beside the likeliest one."""
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Against tokens that the answer holds."""
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    """The same, by how often."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """Against tokens that prompt or answer hold; 1 = none."""
    stop: str | tuple[str, ...] = ()
    """Texts at which an answer ends; they are no part of it."""
    seed: int | None = Field(default=None, ge=0)
    """Of all rows alike; each row's own, made of its answer key, when left out."""

    @property
    def stops(self) -> list[str]:
        """`stop` as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop)


def read_sampling(said: Mapping[str, Any], schema: Mapping[str, Any]) -> Sampling:
    """Check what a prompt says of sampling.

    Args:
        said: What stands under `sampling:`.
        schema: The form of the answer.

    Raises:
        EngineFault: All that is wrong with it.
    """
    try:
        sampling = Sampling.model_validate(dict(said))
    except ValidationError as error:
        faults = [f"sampling.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise EngineFault("; ".join(faults) + f"\n  the vllm engine takes {', '.join(Sampling.model_fields)}") from None
    if sampling.max_tokens is None and schema["type"] in ("text", "object"):
        raise EngineFault("sampling.max_tokens is missing\n  say how many tokens an answer may have")
    return sampling


class ParamsMaker:
    """Makes vLLM's parameters of requests; those of one prompt share everything but the seed."""

    def __init__(self) -> None:
        self._made: list[tuple[Mapping[str, Any], Mapping[str, Any], Any]] = []

    def params(self, request: Request) -> Any:
        """Parameters that generate the answer of a request, with the row's own seed where it is sampled."""
        shared = self._shared(request)
        if shared.temperature == 0 or shared.seed is not None:
            return shared
        own = copy.copy(shared)
        own.seed = int(request.key[:SEED_DIGITS], 16)
        return own

    def _shared(self, request: Request) -> Any:
        for sampling, schema, params in self._made:
            if sampling is request.sampling and schema is request.schema:
                return params
        params = sampling_params(request.sampling, request.schema)
        self._made.append((request.sampling, request.schema, params))
        return params


def sampling_params(said: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Make vLLM's parameters of a prompt; one object may serve any number of rows (`skip_clone`).

    Raises:
        EngineFault: What the prompt says cannot be used.
    """
    from vllm import SamplingParams  # noqa: PLC0415 - takes seconds, and a plan needs none
    from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

    sampling, form = read_sampling(said, schema), read_schema(schema)
    return SamplingParams(
        **sampling.model_dump(exclude={"max_tokens", "stop"}),
        max_tokens=sampling.max_tokens or _longest(form),
        stop=sampling.stops,
        structured_outputs=_structure(form),
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone=True,
    )


def _longest(form: TextSchema | ChoiceSchema | ObjectSchema | ScoresSchema) -> int:
    """Tokens of the longest choice at most: no token is less than a byte, and one ends the answer."""
    words = form.choices if isinstance(form, ChoiceSchema) else ("",)
    return 1 + max(len(word.encode()) for word in words)


def _structure(form: TextSchema | ChoiceSchema | ObjectSchema | ScoresSchema) -> Any:
    """What vLLM lets an answer be, by its form; None = anything."""
    from vllm.sampling_params import StructuredOutputsParams  # noqa: PLC0415

    if isinstance(form, ObjectSchema):
        return StructuredOutputsParams(json=with_real_characters(form.json_schema()))
    if isinstance(form, ChoiceSchema):
        return StructuredOutputsParams(choice=list(form.choices))
    return None


def with_real_characters(schema: Any) -> Any:
    """Let short strings of a JSON schema hold characters alone.

    Where a schema says `maxLength`, xgrammar lets halves of surrogate pairs through as one character, and three stand
    in the answer, which is then too long; a model of random numbers does that. As a pattern costs the same for a short
    string, it takes the place.

    Example:
        >>> with_real_characters({"type": "string", "maxLength": 9})["pattern"][-6:]
        '{0,9}$'
    """
    if isinstance(schema, list):
        return [with_real_characters(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and schema.get("maxLength", SHORT + 1) <= SHORT:
        return {"type": "string", "pattern": f"^{CHARACTER}{{0,{schema['maxLength']}}}$"}
    return {name: with_real_characters(part) for name, part in schema.items()}
