"""The declared form of an answer: plain text, one of some choices, a JSON object, or scores of candidates.

A prompt file declares it in its front matter, under `schema:`. The declaration is part of the answer's key, tells the
engine how to constrain generation, and is used to check the answer.
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
        raise ValueError(f"{', '.join(twice)} appears more than once")
    return words


Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(_each_once)]


class TextSchema(Frozen):
    """Any non-empty text."""

    type: Literal["text"]
    """`text`."""


class ChoiceSchema(Frozen):
    """One of several words, such as Yes and No."""

    type: Literal["choice"]
    """`choice`."""
    choices: Words = Field(min_length=2)
    """The words."""


class ScoresSchema(Frozen):
    """The log-probabilities of some candidates as answers, instead of a text."""

    type: Literal["scores"]
    """`scores`."""
    candidates: Words = Field(min_length=1)
    """The candidates, exactly as the model would have to write them."""


class FieldSchema(Frozen):
    """One field of an object."""

    type: Literal["text", "number", "integer", "boolean", "list", "choice"]
    """Its type; `list` is a list of texts."""
    choices: Words | None = None
    """For `choice`: the words."""
    minimum: float | None = None
    """For numbers: the smallest allowed value."""
    maximum: float | None = None
    """For numbers: the largest allowed value."""
    max_items: int | None = Field(default=None, ge=0)
    """For `list`: the maximum number of items."""
    max_length: int | None = Field(default=None, ge=0)
    """For `text`, and each item of a `list`: the maximum number of characters."""

    @model_validator(mode="after")
    def _bounds_of_its_type(self) -> "FieldSchema":
        given = [name for name in BOUNDS if getattr(self, name) is not None]
        wrong = [name for name in given if self.type not in BOUNDS[name]]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} is not allowed for {self.type}, only for {_types(wrong[0])}")
        if self.type == "choice" and not self.choices:
            raise ValueError("a choice needs `choices`")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self

    def annotation(self) -> Any:
        """Return the form as a Python type with its bounds."""
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
        """Return the form as a pydantic model, which checks answers strictly; dump it by alias."""
        # By alias, because a field may have any name: `copy`, `_id`, `model_config`, `box office`.
        fields: dict[str, Any] = {
            f"field_{place}": (field.annotation(), Field(alias=name, title=name))
            for place, (name, field) in enumerate(self.fields.items())
        }
        return create_model("Answer", __config__=ConfigDict(strict=True, extra="forbid"), **fields)

    def json_schema(self) -> dict[str, Any]:
        """Return the form as JSON schema, for engines that constrain generation by it."""
        return self.model().model_json_schema()


AnswerSchema = TextSchema | ChoiceSchema | ObjectSchema | ScoresSchema
_FORMS: TypeAdapter[AnswerSchema] = TypeAdapter(Annotated[AnswerSchema, Field(discriminator="type")])


def read_schema(declared: Mapping[str, Any]) -> AnswerSchema:
    """Parse a declaration.

    Args:
        declared: The content of `schema:` in a prompt file.

    Raises:
        pydantic.ValidationError: It is not a form that this version supports.

    Example:
        >>> read_schema({"type": "choice", "choices": ["Yes", "No"]}).choices
        ('Yes', 'No')
    """
    return _FORMS.validate_python(dict(declared))
