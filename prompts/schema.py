"""The declared form of an answer: plain text, one of some choices, a JSON object, or scores of candidates.

A prompt file says it in its front matter, under `schema:`. The same declaration is part of the answer's key, tells the
engine how to constrain generation, and checks what came back.
"""

from collections.abc import Mapping
from math import ceil, floor
from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, create_model, model_validator

from base.frozen import Frozen


def _each_once(words: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands twice")
    return words


Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(_each_once)]


class TextSchema(Frozen):
    """Any text that is not empty."""

    type: Literal["text"]
    """`text`."""


class ChoiceSchema(Frozen):
    """One of some words, such as Yes and No."""

    type: Literal["choice"]
    """`choice`."""
    choices: Words = Field(min_length=2)
    """The words."""


class ScoresSchema(Frozen):
    """How likely the model finds each of some candidates: their log-probabilities as answers, not a text."""

    type: Literal["scores"]
    """`scores`."""
    candidates: Words = Field(min_length=1)
    """The candidates, word for word as the model would have to write them."""


class FieldSchema(Frozen):
    """One field of an object."""

    type: Literal["text", "number", "integer", "boolean", "list", "choice"]
    """What it holds; `list` is a list of texts."""
    choices: Words | None = None
    """For `choice`: the words."""
    minimum: float | None = None
    """For numbers: the smallest that is allowed."""
    maximum: float | None = None
    """For numbers: the largest that is allowed."""
    max_items: int | None = Field(default=None, ge=0)
    """For `list`: how many items at most."""
    max_length: int | None = Field(default=None, ge=0)
    """For `text`, and each item of a `list`: how many characters at most."""

    @model_validator(mode="after")
    def _bounds_of_its_type(self) -> "FieldSchema":
        given = [name for name in BOUNDS if getattr(self, name) is not None]
        wrong = [name for name in given if self.type not in BOUNDS[name]]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} is no bound of a {self.type}; it is one of {_types(wrong[0])}")
        if self.type == "choice" and not self.choices:
            raise ValueError("a choice needs its words, under choices")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self

    def annotation(self) -> Any:
        """The same as a Python type with its bounds."""
        text = Annotated[str, Field(max_length=self.max_length)]
        number = Field(ge=self.minimum, le=self.maximum, allow_inf_nan=False)
        least, most = self.minimum, self.maximum
        integer = Field(ge=least if least is None else ceil(least), le=most if most is None else floor(most))
        if self.type == "choice":
            return Literal[self.choices or ()]
        kinds = {
            "text": text,
            "number": Annotated[float, number],
            "integer": Annotated[int, integer],
            "boolean": bool,
            "list": Annotated[GenericAlias(list, (text,)), Field(max_length=self.max_items)],
        }
        return kinds[self.type]


BOUNDS = {
    "choices": ("choice",),
    "minimum": ("number", "integer"),
    "maximum": ("number", "integer"),
    "max_items": ("list",),
    "max_length": ("text", "list"),
}
"""Which bounds belong to which types of fields."""


def _types(bound: str) -> str:
    return " and ".join(BOUNDS[bound])


class ObjectSchema(Frozen):
    """A JSON object; every field is required and no other is allowed."""

    type: Literal["object"]
    """`object`."""
    fields: dict[str, FieldSchema] = Field(min_length=1)
    """Field name -> form."""

    def model(self) -> type[BaseModel]:  # pyright: ignore[reportInvalidTypeForm]
        """The form as a pydantic model, which checks answers strictly; dump it by alias."""
        # By alias, for a field may be called anything: `copy`, `_id`, `model_config`, `box office`.
        fields: dict[str, Any] = {
            f"field_{place}": (field.annotation(), Field(alias=name, title=name))
            for place, (name, field) in enumerate(self.fields.items())
        }
        return create_model("Answer", __config__=ConfigDict(strict=True, extra="forbid"), **fields)

    def json_schema(self) -> dict[str, Any]:
        """The form as JSON schema, for engines that constrain generation by it."""
        return self.model().model_json_schema()


AnswerSchema = TextSchema | ChoiceSchema | ObjectSchema | ScoresSchema
_FORMS: TypeAdapter[AnswerSchema] = TypeAdapter(Annotated[AnswerSchema, Field(discriminator="type")])


def read_schema(declared: Mapping[str, Any]) -> AnswerSchema:
    """Read a declaration.

    Args:
        declared: What stands under `schema:` in a prompt file.

    Raises:
        pydantic.ValidationError: It is no form that this version knows.

    Example:
        >>> read_schema({"type": "choice", "choices": ["Yes", "No"]}).choices
        ('Yes', 'No')
    """
    return _FORMS.validate_python(dict(declared))
