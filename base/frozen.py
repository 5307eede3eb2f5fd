"""The model of every config: read-only, and a misspelt setting is an error."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Cannot be changed, takes no unknown setting, and documents each field by the text below it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
