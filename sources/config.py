"""The mapping of the user's files to the documented tables, as knowflow.yaml says it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sources.faults import Fault, SourceFaults

SETTINGS = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _named(value: Any) -> Any:
    """Read a list of columns as a mapping of each to itself."""
    return {name: name for name in value} if isinstance(value, list) else value


class EventsConfig(BaseModel):
    """The file of events: who did what to which item, when."""

    model_config = SETTINGS

    path: str
    """Parquet, CSV or JSONL file, relative to knowflow.yaml."""
    user: str
    """Column of the user's id."""
    item: str
    """Column of the item's id."""
    time: str
    """Column of the time: dates, ISO text, or seconds, milliseconds or microseconds since 1970."""
    rating: str | None = None
    """Column of a rating; then `label.rating_at_least` makes the label."""
    label: str | None = None
    """Column of a label that is 0 or 1."""

    @model_validator(mode="after")
    def _one_target(self) -> "EventsConfig":
        if (self.rating is None) == (self.label is None):
            raise ValueError("name either `rating` or `label`, one of the two")
        return self


class Fields(BaseModel):
    """Fields of an entity: name -> column, or a list of columns that keep their names."""

    model_config = SETTINGS

    path: str
    """Parquet, CSV or JSONL file, relative to knowflow.yaml."""
    id: str
    """Column of the id."""
    texts: dict[str, str] = Field(default_factory=dict)
    """Text fields."""
    categories: dict[str, str] = Field(default_factory=dict)
    """Category fields: lists, or texts split at `separator`."""
    numbers: dict[str, str] = Field(default_factory=dict)
    """Number fields."""
    separator: str = "|"
    """What separates the categories of one text."""

    _lists = field_validator("texts", "categories", "numbers", mode="before")(_named)


class ItemsConfig(Fields):
    """The file of items."""

    title: str
    """Column by which an item is called in prompts."""


class QueriesConfig(BaseModel):
    """The file of queries, for tasks that rewrite them."""

    model_config = SETTINGS

    path: str
    """Parquet, CSV or JSONL file, relative to knowflow.yaml."""
    query: str
    """Column of the query's text."""
    user: str | None = None
    """Column of who typed it."""
    item: str | None = None
    """Column of the item it led to."""
    time: str | None = None
    """Column of when."""


class LabelConfig(BaseModel):
    """How a rating becomes a label."""

    model_config = SETTINGS

    rating_at_least: float | None = None
    """The smallest rating that counts as liked."""


class SplitConfig(BaseModel):
    """How events are split into training, validation and test."""

    model_config = SETTINGS

    by: Literal["user_position", "global_time"] = "user_position"
    """user_position: each user's first, middle and last events; global_time: everybody's events before two moments."""
    train: float = Field(default=0.8, gt=0, lt=1)
    """Share of training."""
    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of validation; the rest is test."""

    @model_validator(mode="after")
    def _leaves_a_test(self) -> "SplitConfig":
        if self.train + self.validation >= 1:
            raise ValueError("`train` and `validation` leave no events for the test")
        return self


class HistoryConfig(BaseModel):
    """What a sample knows of its user's past."""

    model_config = SETTINGS

    length: int = Field(default=30, ge=1)
    """Number of strictly earlier events, the newest ones."""


class SourceConfig(BaseModel):
    """The whole mapping."""

    model_config = SETTINGS

    events: EventsConfig
    """The events."""
    items: ItemsConfig
    """The items."""
    users: Fields | None = None
    """The users, where there is a table of them."""
    queries: QueriesConfig | None = None
    """The queries, where there is a table of them."""
    label: LabelConfig = LabelConfig()
    """The label rule."""
    split: SplitConfig = SplitConfig()
    """The split."""
    history: HistoryConfig = HistoryConfig()
    """The history."""

    @model_validator(mode="after")
    def _rating_has_a_rule(self) -> "SourceConfig":
        if self.events.rating is not None and self.label.rating_at_least is None:
            raise ValueError(
                "events.rating is given: say from which rating on an event is liked, label.rating_at_least"
            )
        return self


def parse_source_config(mapping: Mapping[str, Any], file: Path) -> SourceConfig:
    """Check the mapping part of knowflow.yaml.

    Raises:
        SourceFaults: With everything that is wrong, all at once.
    """
    try:
        return SourceConfig.model_validate(mapping)
    except ValidationError as error:
        raise SourceFaults(config_fault(file, dict(detail)) for detail in error.errors()) from None


def config_fault(file: Path, detail: Mapping[str, Any]) -> Fault:
    """Turn one of pydantic's findings into words."""
    where = ".".join(str(part) for part in detail["loc"]) or None
    words = {"missing": "is missing", "extra_forbidden": "is not a setting there"}
    what = words.get(detail["type"]) or str(detail["msg"]).removeprefix("Value error, ")
    return Fault(
        file.name, None, where, None, what, f"edit {file.name}; docs/reference/knowflow-yaml.md names every setting"
    )
