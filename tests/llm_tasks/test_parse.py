"""Parsing: any answer gives its text or one fault in words, never another exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tasks.pipeline.parse import ParseFault, parse_answer

PLAIN = {"type": "text"}


@given(st.text())
def test_any_text_is_parsed_to_itself_or_refused_as_empty(text):
    if "```" in text:
        return
    if text.strip():
        assert parse_answer(text, PLAIN) == text.strip()
    else:
        with pytest.raises(ParseFault, match="the answer is empty"):
            parse_answer(text, PLAIN)


@given(text=st.text().filter(lambda t: t.strip() and "`" not in t), language=st.sampled_from(["", "text", "json"]))
def test_a_fence_around_the_whole_answer_is_taken_off(text, language):
    assert parse_answer(f"\n```{language}\n{text}\n```\n", PLAIN) == text.strip()


def test_a_fence_inside_an_answer_stays():
    assert parse_answer("before\n```\ncode\n```", PLAIN) == "before\n```\ncode\n```"


@pytest.mark.parametrize("answer", ["", " \n\t", "```\n\n```", "```text\n  \n```"])
def test_an_empty_answer_is_refused(answer):
    with pytest.raises(ParseFault, match="the answer is empty"):
        parse_answer(answer, PLAIN)


@given(st.text())
def test_parsing_twice_changes_nothing_more_where_no_fence_is_left(text):
    try:
        once = parse_answer(text, PLAIN)
    except ParseFault:
        return
    if "```" not in once:
        assert parse_answer(once, PLAIN) == once


def test_a_form_that_is_not_known_says_what_is():
    with pytest.raises(
        ParseFault, match=r"schema \{'type': 'table'\} is not known: .*'text', 'choice', 'object', 'scores'"
    ):
        parse_answer("a", {"type": "table"})
