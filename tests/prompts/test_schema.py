"""Declared forms: what is accepted, what is refused in words, and that the JSON schema and the check agree."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prompts.schema import ChoiceSchema, ObjectSchema, ScoresSchema, TextSchema, read_schema

FIELDS = {
    "mood": {"type": "list", "max_items": 2, "max_length": 4},
    "director": {"type": "text", "max_length": 6},
    "acclaim": {"type": "number", "minimum": 1, "maximum": 5},
    "year": {"type": "integer", "minimum": 1900.5, "maximum": 1999.5},
    "known": {"type": "boolean"},
    "reception": {"type": "choice", "choices": ["good", "bad"]},
}
GOOD = {"mood": ["warm"], "director": "Mann", "acclaim": 4.5, "year": 1995, "known": True, "reception": "good"}


def object_of(fields: dict) -> ObjectSchema:
    schema = read_schema({"type": "object", "fields": fields})
    assert isinstance(schema, ObjectSchema)
    return schema


def fits(schema: ObjectSchema, value: object) -> bool:
    try:
        schema.model().model_validate(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ({"type": "text"}, TextSchema),
        ({"type": "choice", "choices": ["Yes", "No"]}, ChoiceSchema),
        ({"type": "scores", "candidates": ["Yes"]}, ScoresSchema),
        ({"type": "object", "fields": FIELDS}, ObjectSchema),
    ],
)
def test_the_four_forms_are_known_by_their_type(declared, kind):
    assert isinstance(read_schema(declared), kind)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, "Unable to extract tag"),
        ({"type": "table"}, "does not match any of the expected tags"),
        ({"type": "text", "length": 3}, "Extra inputs are not permitted"),
        ({"type": "choice", "choices": ["Yes"]}, "at least 2 items"),
        ({"type": "choice", "choices": ["Yes", "No", "Yes"]}, "Yes appears more than once"),
        ({"type": "choice", "choices": ["Yes", ""]}, "at least 1 character"),
        ({"type": "scores", "candidates": []}, "at least 1 item"),
        ({"type": "scores", "candidates": ["a", "a"]}, "a appears more than once"),
        ({"type": "object", "fields": {}}, "at least 1 item"),
        ({"type": "object", "fields": {"a": {"type": "date"}}}, "Input should be 'text', 'number', 'integer'"),
        ({"type": "object", "fields": {"a": {"type": "choice"}}}, "a choice needs `choices`"),
        ({"type": "object", "fields": {"a": {"type": "choice", "choices": ["x", "x"]}}}, "x appears more than once"),
        ({"type": "object", "fields": {"a": {"type": "text", "choices": ["x"]}}}, "choices is not allowed for text, only for choice"),
        ({"type": "object", "fields": {"a": {"type": "text", "minimum": 1}}}, "only for number and integer"),
        ({"type": "object", "fields": {"a": {"type": "number", "max_items": 1}}}, "max_items is not allowed for number, only for list"),
        ({"type": "object", "fields": {"a": {"type": "boolean", "max_length": 1}}}, "only for text and list"),
        ({"type": "object", "fields": {"a": {"type": "number", "minimum": 2, "maximum": 1}}}, "minimum 2 is above maximum 1"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_is_refused_when_the_prompt_is_read(declared, message):
    with pytest.raises(ValidationError, match=message):
        read_schema(declared)


@pytest.mark.parametrize(
    "change",
    [
        {"mood": ["a", "b", "c"]},
        {"mood": ["longer"]},
        {"mood": "warm"},
        {"director": "Hitchcock"},
        {"director": None},
        {"acclaim": 5.1},
        {"acclaim": 0.9},
        {"acclaim": "4"},
        {"acclaim": float("nan")},
        {"acclaim": True},
        {"year": 1995.5},
        {"year": 1900},  # 1900.5 at least
        {"year": 2000},
        {"known": 1},
        {"reception": "Good"},
        {"more": 1},
    ],
)
def test_an_object_is_checked_strictly_field_by_field(change):
    schema = object_of(FIELDS)

    assert fits(schema, GOOD)
    assert fits(schema, {**GOOD, "acclaim": 4})  # an integer is a number
    assert not fits(schema, {**GOOD, **change})
    assert not any(fits(schema, {k: v for k, v in GOOD.items() if k != name}) for name in GOOD)


names = st.text(min_size=1, max_size=8) | st.sampled_from(
    ["copy", "json", "model_config", "_id", "class", "box office"]
)
bounds = st.none() | st.integers(-5, 5)
fields = st.one_of(
    st.fixed_dictionaries({"type": st.just("text")}, optional={"max_length": st.integers(0, 4)}),
    st.fixed_dictionaries({"type": st.just("list")}, optional={"max_items": st.integers(0, 3)}),
    st.fixed_dictionaries({"type": st.sampled_from(["number", "integer"])}, optional={"minimum": st.integers(-5, 0), "maximum": st.integers(0, 5)}),
    st.just({"type": "boolean"}),
    st.just({"type": "choice", "choices": ["x", "y"]}),
)  # fmt: skip
values = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["x", "y"]),
    st.booleans(),
    st.integers(-7, 7),
    st.floats(-7, 7).filter(lambda number: not number.is_integer()),  # JSON schema calls 1.0 an integer, we do not
    st.none(),
    st.lists(st.text(max_size=2) | st.integers(), max_size=4),
)


@settings(deadline=None)
@given(st.data())
def test_the_json_schema_that_constrains_an_engine_accepts_exactly_what_the_check_accepts(data):
    declared = data.draw(st.dictionaries(names, fields, min_size=1, max_size=4))
    value = {name: data.draw(values) for name in declared if data.draw(st.integers(0, 9))}
    schema = object_of(declared)

    validator = jsonschema.Draft202012Validator(schema.json_schema())

    assert fits(schema, value) == validator.is_valid(value)
    assert list(schema.json_schema()["properties"]) == list(declared)  # in the declared order


@settings(deadline=None)
@given(st.dictionaries(names, fields, min_size=1, max_size=4), st.data())
def test_a_field_may_be_called_anything_and_comes_back_under_its_name(declared, data):
    good = {"text": "", "list": [], "number": 0, "integer": 0, "boolean": False, "choice": "x"}
    value = {name: good[field["type"]] for name, field in declared.items()}

    checked = object_of(declared).model().model_validate(json.loads(json.dumps(value)))

    assert checked.model_dump(by_alias=True) == value
