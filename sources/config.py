"""The mapping of the user's files to the documented tables, from knowflow.yaml."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from base.frozen import Frozen
from sources.entity_config import Fields, ItemsConfig
from sources.faults import Fault, SourceFaults
from sources.file_format import FileFormat
from sources.label_config import ONE_TARGET, LabelConfig, across

TARGETS = ("rating", "label", "impressions")
"""Settings of events of which one says how labels are made."""
ACROSS = "across"
"""Type of a fault between two sections."""


class RowOrder(Frozen):
    """In place of times: the order of the rows."""

    by: Literal["row_order"]
    """row_order: earlier rows are earlier events; the moments themselves mean nothing."""


class ImpressionsConfig(Frozen):
    """How a cell holds all items of one page, each with its label, such as `N55689-1 N35729-0`."""

    separator: str = Field(default=" ", min_length=1)
    """What stands between two items."""
    label: str = Field(default="-", min_length=1)
    """What stands between an item and its label, which is 0 or 1; the last one counts if an id holds it too."""


class EventsConfig(FileFormat):
    """The file of events: who did what to which item, when."""

    user: str
    """Column of the user id."""
    item: str
    """Column of the item id."""
    time: str | RowOrder
    """Column of the time: dates and times of any usual form, or seconds, milliseconds or microseconds since 1970; for a
    log without times `{by: row_order}`, which takes the rows as a second apart."""
    time_format: str | None = None
    """How times are written, in the letters of strptime: `"%d/%m/%Y %H:%M"`; needed if day and month are in doubt."""
    earliest: date = date(1980, 1, 1)
    """A time before this day is a fault: it is more often a misread number than a time."""
    rating: str | None = None
    """Column of a rating; `label.rating_at_least` turns it into a label."""
    impressions: ImpressionsConfig | None = None
    """Set where a cell of `item` holds all items of one page with their labels, as MIND writes them: each becomes an
    event of the row's user and time, and a page is a session unless `session` names a column."""
    session: str | None = None
    """Column of a session, an impression or a request of a user. Its events are never in different parts of a split:
    all are in the part of its last one. An event without one stands for itself."""
    label: str | None = Field(default=None, validate_default=True)
    """Column of a label that is 0 or 1, or of a type of event, of which `label.positive` lists the positive ones."""

    # A rule over two settings belongs to the later one: unlike a rule of the whole section, it is checked and reported
    # even if something else in the section is wrong.
    @field_validator("label")
    @classmethod
    def _one_target_at_most(cls, label: str | None, info: ValidationInfo) -> str | None:
        there = [label, *(info.data[name] for name in ("rating", "impressions") if name in info.data)]
        if len([one for one in there if one is not None]) > 1:
            raise ValueError(ONE_TARGET)
        return label


class SegmentsConfig(Frozen):
    """Which queries are head and torso, by their share of all typed queries; see `sources.queries.segments`."""

    head: float = Field(default=0.3, ge=0, le=1)
    """Share of the most frequent queries."""
    torso: float = Field(default=0.3, ge=0, le=1)
    """Share of the next most frequent queries; the rest is tail."""


class QuerySplit(Frozen):
    """How queries are split into training, validation and test; a query is in exactly one of them."""

    by: Literal["query", "time"] = "query"
    """query: by a hash of the normalised query; time: by when it was first typed, which needs `queries.time`."""
    train: float = Field(default=0.7, gt=0, lt=1)
    """Share of training queries."""
    validation: float = Field(default=0.1, gt=0, lt=1, validate_default=True)
    """Share of validation queries; the rest is test."""
    seed: int = 0
    """Part of the hash; another seed gives another split."""

    @field_validator("validation")
    @classmethod
    def _leaves_a_test(cls, validation: float, info: ValidationInfo) -> float:
        if info.data.get("train", 0) + validation >= 1:
            raise ValueError("leaves no queries for the test: train + validation should be below 1")
        return validation


class QueriesConfig(FileFormat):
    """The file of queries, for tasks that rewrite them."""

    query: str
    """Column of the query text."""
    user: str | None = None
    """Column of the user who typed it."""
    item: str | None = None
    """Column of the item it led to."""
    time: str | None = None
    """Column of the time it was typed."""
    longest: int = Field(default=1_000, ge=1)
    """Maximum characters of a query; a longer one is a fault of its row."""
    segments: SegmentsConfig = SegmentsConfig()
    """Which queries are head and torso."""
    split: QuerySplit = Field(default=QuerySplit(), validate_default=True)
    """How queries are split when a model is tuned on them or judged by them."""

    @field_validator("split")
    @classmethod
    def _time_is_mapped(cls, split: QuerySplit, info: ValidationInfo) -> QuerySplit:
        if split.by == "time" and info.data.get("time") is None:
            raise ValueError("by: time needs queries.time")
        return split


class SplitConfig(Frozen):
    """How events are split into training, validation and test."""

    by: Literal["user_position", "global_time"] = "user_position"
    """user_position: each user's first, middle and last events; global_time: two cut-off times for all users."""
    train: float = Field(default=0.8, gt=0, lt=1)
    """Share of training events."""
    validation: float = Field(default=0.1, gt=0, lt=1, validate_default=True)
    """Share of validation events; the rest is test."""
    together: Literal["moment", "event"] = "moment"
    """What user_position never cuts: all events of a user at one moment, such as what was shown on one page; or single
    events, for logs whose equal times mean nothing. Sessions come first: with `events.session` or `events.impressions`
    no session is cut, by user_position and by global_time alike, though a moment of two sessions may be."""

    @field_validator("validation")
    @classmethod
    def _leaves_a_test(cls, validation: float, info: ValidationInfo) -> float:
        if info.data.get("train", 0) + validation >= 1:
            raise ValueError("leaves no events for the test: split.train + split.validation should be below 1")
        return validation


class HistoryConfig(Frozen):
    """What a sample contains of its user's past."""

    length: int = Field(default=30, ge=1)
    """Maximum number of strictly earlier events; the newest are used."""


class SourceConfig(Frozen):
    """The whole mapping."""

    events: EventsConfig
    """The events."""
    items: ItemsConfig
    """The items."""
    users: Fields | None = None
    """The users, if there is a table of them."""
    queries: QueriesConfig | None = None
    """The queries, if there is a table of them."""
    label: LabelConfig = Field(default=LabelConfig(), validate_default=True)
    """The label rule."""
    split: SplitConfig = SplitConfig()
    """The split."""
    history: HistoryConfig = HistoryConfig()
    """The history."""

    @property
    def longest_query(self) -> int:
        """Return the maximum number of characters of a query."""
        return (self.queries or QueriesConfig(path="", query="")).longest

    @field_validator("label")
    @classmethod
    def _fits_the_events(cls, label: LabelConfig, info: ValidationInfo) -> LabelConfig:
        if (events := info.data.get("events")) is not None:
            targets = [name for name in TARGETS if getattr(events, name) is not None]
            for where, words in across(targets, label.rating_at_least is not None, label.negatives is not None):
                raise PydanticCustomError(ACROSS, "{words}", {"words": f"{'.'.join(where)} {words}"})
        return label


def parse_source_config(mapping: Mapping[str, Any], file: Path) -> SourceConfig:
    """Check the mapping part of knowflow.yaml.

    Raises:
        SourceFaults: The mapping has faults; all are listed at once.
    """
    try:
        return SourceConfig.model_validate(mapping)
    except ValidationError as error:
        details = [dict(detail) for detail in error.errors() if detail["type"] != ACROSS]
        # Added here, because pydantic reports them only if the events have no other fault, and one at a time.
        details += [{"type": ACROSS, "loc": where, "msg": words} for where, words in _across(mapping)]
        raise SourceFaults(config_fault(file, detail) for detail in details) from None


def _across(mapping: Mapping[str, Any]) -> list[tuple[tuple[str, str], str]]:
    events, label = mapping.get("events"), mapping.get("label", {})
    if not isinstance(events, Mapping) or not isinstance(label, Mapping):
        return []
    targets = [name for name in TARGETS if events.get(name) is not None]
    has_rule = label.get("rating_at_least", label.get("at_least")) is not None
    return across(targets, has_rule, label.get("negatives") is not None)


def config_fault(file: Path, detail: Mapping[str, Any], fields: Mapping[str, FieldInfo] | None = None) -> Fault:
    """Turn one of pydantic's errors into a readable fault.

    Args:
        file: The knowflow.yaml.
        detail: The error.
        fields: Top-level settings of the file; those of the mapping if not given.
    """
    where = [str(part) for part in detail["loc"]]
    fix = f"edit {file.name}; docs/reference/knowflow-yaml.md lists every setting"
    words = _words(where, detail, fields or SourceConfig.model_fields)
    return Fault(file.name, None, ".".join(where) or None, None, words, fix)


def _words(where: Sequence[str], detail: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(where[-1], _settings(where[:-1], fields), n=1)
        return "is not a setting there" + (f"; did you mean {close[0]!r}?" if close else "")
    if detail["type"] in ("model_type", "dict_type"):
        return "should hold settings"
    words = re.sub(r"^(Value error, |(Input|String|Tuple) )|( after validation, not 0)$", "", str(detail["msg"]))
    value = detail.get("input")
    own = detail["type"] == "value_error" or not isinstance(value, str | int | float)
    return words if own else f"{words}, not {value!r}"


def _settings(where: Sequence[str], fields: Mapping[str, FieldInfo]) -> list[str]:
    """Return the names of the settings of a section; names that the user chose, such as tasks, are not followed."""
    for part in where:
        if part in fields:
            fields = next((model.model_fields for model in _models(fields[part].annotation)), {})
    return list(fields)


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the config classes in a type, such as the one in `dict[str, X | None]`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)
