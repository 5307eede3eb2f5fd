"""The answer key: everything that can change an answer, and nothing else."""

import hashlib
import inspect
import json
from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.request import AnswerKeys, ModelIdentity, TextKeys, answer_key, inside_json, is_utf8, messages_json

text = st.text(max_size=12)
role = st.sampled_from(["system", "user", "assistant"])
messages = st.lists(st.fixed_dictionaries({"role": role, "content": text}), min_size=1, max_size=3)
identities = st.builds(ModelIdentity, model=text, revision=text, adapter=text)
leaf = st.one_of(st.integers(), st.booleans(), text, st.floats(allow_nan=False, allow_infinity=False))
settings = st.dictionaries(text, st.one_of(leaf, st.dictionaries(text, leaf, max_size=2)), max_size=4)
parts = st.tuples(messages, identities, settings, settings)


def key(of: tuple) -> str:
    return answer_key(*of)


def canonical(of: tuple) -> str:
    """A second way to tell two questions apart: the Python values, dictionaries in sorted order."""

    def ordered(value: object) -> object:
        if isinstance(value, dict):
            return sorted((name, ordered(part)) for name, part in value.items())
        return (type(value).__name__, value) if not isinstance(value, list) else [ordered(part) for part in value]

    said, model, sampling, schema = of
    return repr([ordered(said), repr(model), ordered(sampling), ordered(schema)])


@given(one=parts, other=parts)
def test_two_questions_share_a_key_only_when_they_are_the_same(one, other):
    assert (key(one) == key(other)) == (canonical(one) == canonical(other))


@given(of=parts, addition=st.text(min_size=1, max_size=3), place=st.integers(0, 5))
def test_any_change_of_message_model_revision_adapter_sampling_or_schema_changes_the_key(of, addition, place):
    said, model, sampling, schema = of
    changed = [
        ([*said[:-1], {**said[-1], "content": said[-1]["content"] + addition}], model, sampling, schema),
        (said, replace(model, model=model.model + addition), sampling, schema),
        (said, replace(model, revision=model.revision + addition), sampling, schema),
        (said, replace(model, adapter=model.adapter + addition), sampling, schema),
        (said, model, {**sampling, "top_p": [addition]}, schema),
        (said, model, sampling, {**schema, "type": [addition]}),
    ][place]

    assert key(changed) != key(of)


@given(of=parts)
def test_the_role_and_the_order_of_messages_count(of):
    said, *rest = of
    turned = [
        {**message, "role": {"system": "user", "user": "assistant"}.get(message["role"], "system")} for message in said
    ]

    assert key((turned, *rest)) != key(of)
    assert key(([*said, said[0]], *rest)) != key(of)
    assert (key((said[::-1], *rest)) == key(of)) == (said[::-1] == said)


@given(of=parts, random=st.randoms())
def test_the_order_of_dictionaries_does_not_count(of, random):
    def shuffled(value: object) -> object:
        if not isinstance(value, dict):
            return value
        names = list(value)
        random.shuffle(names)
        return {name: shuffled(value[name]) for name in names}

    said, model, sampling, schema = of

    assert key(([shuffled(message) for message in said], model, shuffled(sampling), shuffled(schema))) == key(of)


def test_a_part_cannot_slip_into_its_neighbour():
    hello = [{"role": "user", "content": "hello"}]

    assert answer_key(hello, ModelIdentity("a", "bc"), {}, {}) != answer_key(hello, ModelIdentity("ab", "c"), {}, {})
    assert answer_key(hello, ModelIdentity("a", "b"), {"x": 1}, {}) != answer_key(
        hello, ModelIdentity("a", "b"), {}, {"x": 1}
    )
    assert answer_key(hello, ModelIdentity("a", "b"), {"x": 1}, {}) != answer_key(
        hello, ModelIdentity("a", "b"), {"x": "1"}, {}
    )


def test_neither_row_task_data_nor_code_version_can_be_part_of_the_key():
    assert list(inspect.signature(answer_key).parameters) == ["messages", "identity", "sampling", "schema"]
    # Worked out once by `printf '%s' JSON | sha256sum`: a key that moves with our code would orphan every paid answer.
    assert (
        answer_key(
            [{"role": "user", "content": "héllo"}], ModelIdentity("m", "r"), {"temperature": 0.0}, {"type": "text"}
        )
        == "7eabbba8f39eaab9050a2d7c7f3214ae12234b2c7ee52aae2360700c54965906"
    )


@given(said=st.lists(st.fixed_dictionaries({"content": st.text(st.characters(exclude_categories=())), "role": role})))
def test_messages_are_written_as_canonical_json_whatever_they_hold(said):
    wanted = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    assert messages_json(said) == wanted.encode("utf-8", errors="surrogatepass")


@given(of=parts)
def test_a_key_is_the_hash_of_one_canonical_json_object(of):
    said, model, sampling, schema = of
    names = {"model": model.model, "revision": model.revision, "adapter": model.adapter}
    content = {"messages": said, **names, "sampling": sampling, "schema": schema}
    canonical_json = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    assert key(of) == hashlib.sha256(canonical_json.encode("utf-8", errors="surrogatepass")).hexdigest()


any_text = st.text(st.characters(exclude_categories=()), max_size=12)


@given(
    of=parts,
    said=st.lists(
        st.tuples(role, any_text, st.lists(st.tuples(any_text, any_text), max_size=3)), min_size=1, max_size=3
    ),
)
def test_keys_made_from_texts_are_those_of_the_messages_with_these_texts(of, said):
    _, *rest = of
    keys = TextKeys(AnswerKeys(*rest), [(who, (begin, *(after for _, after in pairs))) for who, begin, pairs in said])
    whole = [{"role": who, "content": begin + "".join(map("".join, pairs))} for who, begin, pairs in said]

    assert keys.key([inside_json(text) for *_, pairs in said for text, _ in pairs]) == key((whole, *rest))


@given(of=parts, seen=st.datetimes(timezones=st.just(UTC)))
def test_what_a_model_was_tuned_on_dates_its_rows_and_is_no_part_of_the_key(of, seen):
    said, model, *rest = of

    assert key((said, replace(model, seen_until=seen), *rest)) == key(of)


def test_a_number_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        answer_key([], ModelIdentity("m", ""), {"temperature": float("nan")}, {})


@given(st.text(st.characters(exclude_categories=())))
def test_text_is_utf8_unless_it_holds_half_of_a_surrogate_pair(content):
    assert is_utf8(content) == (not any(0xD800 <= ord(character) <= 0xDFFF for character in content))
    assert len(answer_key([{"role": "user", "content": content}], ModelIdentity("m", ""), {}, {})) == 64
