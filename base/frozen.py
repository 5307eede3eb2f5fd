"""The base model of every config: read-only, and a misspelled setting is an error."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A config that cannot be changed, rejects unknown settings and documents each field by the docstring below it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
