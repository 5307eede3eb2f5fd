"""Convert the sampling and form of a prompt file to vLLM's parameters."""

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from base.frozen import Frozen
from engines.protocol import EngineFault
from engines.request import Request
from prompts.schema import ChoiceSchema, ObjectSchema, ScoresSchema, TextSchema, read_schema

CHARACTER = "[ !#-[\\]-\ud7ff\ue000-\U0010ffff]"
"""A character of a JSON string except control characters, quote and backslash."""
SHORT = 100
"""Largest `max_length` to convert to a pattern: beyond it, patterns cost several times as much as `maxLength`."""
SEED_DIGITS = 12
"""Number of hexadecimal digits of the answer key that form the seed of a row."""


class Sampling(Frozen):
    """What a prompt may set under `sampling:`."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Maximum length of the answer; required for texts and objects."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Sampling temperature; 0 always takes the most likely token."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability mass that tokens are sampled from."""
    top_k: int = Field(default=0, ge=0)
    """How many of the most likely tokens to sample from; 0 = all."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Minimum probability of a token relative to the most likely one."""
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Penalty for tokens that are already in the answer."""
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Penalty for tokens by how often they are already in the answer."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """Penalty for tokens that are in the prompt or the answer; 1 = none."""
    stop: str | tuple[str, ...] = ()
    """Texts at which an answer ends; they are not part of it."""
    seed: int | None = Field(default=None, ge=0)
    """Seed for all rows; if not given, each row has its own, made from its answer key."""

    @property
    def stops(self) -> list[str]:
        """Return `stop` as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop)


def read_sampling(said: Mapping[str, Any], schema: Mapping[str, Any]) -> Sampling:
    """Check the sampling of a prompt.

    Args:
        said: The content of `sampling:`.
        schema: The form of the answer.

    Raises:
        EngineFault: Some of it is wrong; the text lists every fault.
    """
    try:
        sampling = Sampling.model_validate(dict(said))
    except ValidationError as error:
        faults = [f"sampling.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise EngineFault("; ".join(faults) + f"\n  the vllm engine takes {', '.join(Sampling.model_fields)}") from None
    if sampling.max_tokens is None and schema["type"] in ("text", "object"):
        raise EngineFault("sampling.max_tokens is missing\n  set it to how many tokens an answer may have")
    return sampling


class ParamsMaker:
    """Makes vLLM's parameters for requests; those of one prompt share everything except the seed."""

    def __init__(self) -> None:
        self._made: list[tuple[Mapping[str, Any], Mapping[str, Any], Any]] = []

    def params(self, request: Request) -> Any:
        """Return the parameters for a request, with the row's own seed if it is sampled."""
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
    """Make vLLM's parameters for a prompt; one object can serve any number of rows (`skip_clone`).

    Raises:
        EngineFault: The prompt's sampling cannot be used.
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
    """Return the maximum tokens of the longest choice: a token is at least one byte, and one ends the answer."""
    words = form.choices if isinstance(form, ChoiceSchema) else ("",)
    return 1 + max(len(word.encode()) for word in words)


def _structure(form: TextSchema | ChoiceSchema | ObjectSchema | ScoresSchema) -> Any:
    """Return vLLM's constraint for a form; None = no constraint."""
    from vllm.sampling_params import StructuredOutputsParams  # noqa: PLC0415

    if isinstance(form, ObjectSchema):
        return StructuredOutputsParams(json=with_real_characters(form.json_schema()))
    if isinstance(form, ChoiceSchema):
        return StructuredOutputsParams(choice=list(form.choices))
    return None


def with_real_characters(schema: Any) -> Any:
    """Restrict short strings of a JSON schema to real characters.

    For `maxLength`, xgrammar accepts half of a surrogate pair as one character, which becomes three in the answer, so
    the answer is too long; a model with random weights does that. A pattern costs the same for a short string, so it
    replaces `maxLength`.

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
