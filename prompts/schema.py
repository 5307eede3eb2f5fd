"""The declared form of an answer: plain text, one of some choices, a JSON object, or scores of candidates.

A prompt file says it in its front matter, under `schema:`. The same declaration is part of the answer's key, tells the
engine how to constrain generation, and checks what came back.
"""

from collections.abc import Mapping
from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

SETTINGS = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TextSchema(BaseModel):
    """Any text that is not empty."""

    model_config = SETTINGS

    type: Literal["text"]
    """`text`."""


class ChoiceSchema(BaseModel):
    """One of some words, such as Yes and No."""

    model_config = SETTINGS

    type: Literal["choice"]
    """`choice`."""
    choices: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=2)
    """The words."""


class ScoresSchema(BaseModel):
    """How likely the model finds each of some candidates: their log-probabilities as answers, not a text."""

    model_config = SETTINGS

    type: Literal["scores"]
    """`scores`."""
    candidates: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """The candidates, word for word as the model would have to write them."""


class FieldSchema(BaseModel):
    """One field of an object."""

    model_config = SETTINGS

    type: Literal["text", "number", "integer", "boolean", "list", "choice"]
    """What it holds; `list` is a list of texts."""
    choices: tuple[str, ...] | None = None
    """For `choice`: the words."""
    minimum: float | None = None
    """For numbers: the smallest that is allowed."""
    maximum: float | None = None
    """For numbers: the largest that is allowed."""
    max_items: int | None = None
    """For `list`: how many items at most."""
    max_length: int | None = None
    """For `text`, and each item of a `list`: how many characters at most."""

    def annotation(self) -> Any:
        """The same as a Python type with its bounds."""
        text = Annotated[str, Field(max_length=self.max_length)]
        bounds = Field(ge=self.minimum, le=self.maximum)
        if self.type == "choice":
            return Literal[self.choices or ()]
        kinds = {
            "text": text,
            "number": Annotated[float, bounds],
            "integer": Annotated[int, bounds],
            "boolean": bool,
            "list": Annotated[GenericAlias(list, (text,)), Field(max_length=self.max_items)],
        }
        return kinds[self.type]


class ObjectSchema(BaseModel):
    """A JSON object; every field is required and no other is allowed."""

    model_config = SETTINGS

    type: Literal["object"]
    """`object`."""
    fields: dict[str, FieldSchema] = Field(min_length=1)
    """Field name -> form."""

    def model(self) -> type[BaseModel]:  # pyright: ignore[reportInvalidTypeForm]
        """The form as a pydantic model, which checks answers strictly."""
        fields: dict[str, Any] = {name: (field.annotation(), ...) for name, field in self.fields.items()}
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
