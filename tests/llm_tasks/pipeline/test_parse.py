"""Parsing: any answer gives its text or one fault in words, never another exception."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.recorded import RecordedEngine
from engines.request import Request, answer_key
from llm_tasks.pipeline.parse import ParseFault, Parser, parse_answer
from prompts.domain import load_domain
from prompts.library import choose_prompt

RECORDED = Path(__file__).parents[3] / "examples" / "movielens" / "recorded" / "items_v2.parquet"

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


YES_NO = {"type": "choice", "choices": ["Yes", "No"]}
MOOD = {"type": "object", "fields": {"mood": {"type": "text"}, "acclaim": {"type": "number", "maximum": 5}}}
SCORES = {"type": "scores", "candidates": ["Yes", "No"]}
ANY = [PLAIN, YES_NO, MOOD, SCORES]


@given(text=st.text() | st.text(alphabet='{}[]":,`Yesno01. \n\\'), schema=st.sampled_from(ANY))
def test_any_text_gives_its_value_or_one_fault_in_words_and_never_another_exception(text, schema):
    try:
        parsed = parse_answer(text, schema)
    except ParseFault as fault:
        assert str(fault)  # noqa: PT017
    else:
        assert parsed


@pytest.mark.parametrize(
    "answer", ["No", "no", " NO.\n", "**No**", '"no"', "`No`", "```\nNo\n```", "```text\nno.\n```", "(No)"]
)
def test_a_choice_is_found_under_the_marks_that_models_put_around_it(answer):
    assert parse_answer(answer, YES_NO) == "No"


@pytest.mark.parametrize("answer", ["No, because", "not", "Yes No", "Maybe", "N o", "*", "..."])
def test_a_choice_with_other_words_is_no_choice(answer):
    with pytest.raises(ParseFault, match="is none of Yes, No"):
        parse_answer(answer, YES_NO)


@given(
    st.lists(
        st.text(min_size=1).filter(lambda w: w == w.strip() and "```" not in w), min_size=2, max_size=5, unique=True
    )
)
def test_a_choice_written_exactly_is_always_found_whatever_marks_or_case_it_has(words):
    schema = {"type": "choice", "choices": words}

    assert [parse_answer(word, schema) for word in words] == words


def test_choices_that_differ_in_case_or_marks_alone_are_told_apart_or_refused():
    schema = {"type": "choice", "choices": ["A.", "A!", "b"]}

    assert [parse_answer(answer, schema) for answer in ("A.", "A!", "B.")] == ["A.", "A!", "b"]
    with pytest.raises(ParseFault, match=r"'a' is more than one of A\., A!, b"):
        parse_answer("a", schema)


mood = st.fixed_dictionaries({"mood": st.text(), "acclaim": st.floats(-1e6, 5) | st.integers(-9, 5)})


@given(value=mood, before=st.text(alphabet=st.characters(exclude_characters="{")), after=st.text(), fence=st.booleans())
def test_an_object_is_found_in_whatever_stands_around_it(value, before, after, fence):
    written = json.dumps(value, ensure_ascii=False)
    written = f"```json\n{written}\n```" if fence else written

    assert parse_answer(before + written + after, MOOD) == value


@pytest.mark.parametrize(
    "answer",
    [
        'Sure! Here it is:\n{"mood": "warm", "acclaim": 4}\nAnything else?',
        '<think>{"plan": 1}</think>{"mood": "warm", "acclaim": 4}',
        '{"mood": "warm"} no: {"mood": "warm", "acclaim": 4}',
        '{mood: warm} {"mood": "warm", "acclaim": 4}',
        '[{"mood": "warm", "acclaim": 4}]',
    ],
)
def test_the_first_object_that_has_the_form_is_taken(answer):
    assert parse_answer(answer, MOOD) == {"mood": "warm", "acclaim": 4}


def test_line_breaks_inside_a_text_are_read_for_models_write_them():
    assert parse_answer('{"mood": "warm\nand slow\t", "acclaim": 4}', MOOD)["mood"] == "warm\nand slow\t"  # pyright: ignore


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"mood": "warm"}', "acclaim: Field required"),
        ('{"mood": "warm", "acclaim": 6}', "acclaim: Input should be less than or equal to 5"),
        ('{"mood": "warm", "acclaim": "4"}', "acclaim: Input should be a valid number"),
        ('{"mood": "warm", "acclaim": NaN}', "acclaim: Input should be a finite number"),
        ('{"mood": "warm", "acclaim": 4, "more": 1}', "more: Extra inputs are not permitted"),
        ('{"outer": {"mood": "warm", "acclaim": 4}}', "mood: Field required"),
        ('{"mood": "warm", "acclaim": 4', "holds no JSON object"),
        ("warm, 4", "holds no JSON object"),
        ("  ", "the answer is empty"),
    ],
)
def test_an_object_that_lacks_its_form_says_what_is_wrong(answer, message):
    with pytest.raises(ParseFault, match=message):
        parse_answer(answer, MOOD)


@given(st.floats(-1e8, 0), st.integers(-1000, 0))
def test_scores_come_back_by_candidate_in_their_declared_order(yes, no):
    parsed = parse_answer(json.dumps({"No": no, "Yes": yes}), SCORES)

    assert parsed == {"Yes": yes, "No": no}
    assert list(parsed) == ["Yes", "No"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"Yes": -1}', "does not score exactly Yes, No"),
        ('{"Yes": -1, "No": -1, "Maybe": -1}', "does not score exactly"),
        ('{"Yes": 0.5, "No": -1}', "the score of Yes is no log-probability: 0.5"),
        ('{"Yes": -1, "No": false}', "the score of No is no log-probability: False"),
        ('{"Yes": -1, "No": "-1"}', "the score of No is no log-probability"),
        ('{"Yes": NaN, "No": -1}', "the score of Yes is no log-probability: nan"),
        ('{"Yes": -Infinity, "No": -1}', "the score of Yes is no log-probability: -inf"),
    ],
)
def test_scores_that_are_no_log_probabilities_of_all_candidates_are_refused(answer, message):
    with pytest.raises(ParseFault, match=message):
        parse_answer(answer, SCORES)


def test_the_150_recorded_answers_of_prompt_v2_have_their_form_and_their_inputs_are_what_the_prompt_shows():
    table = pl.read_parquet(RECORDED)
    prompt, films = choose_prompt("kar_item", 2), load_domain("films")
    items = pl.read_parquet(RECORDED.parents[1] / "items.parquet").rows_by_key("item_id", named=True, unique=True)
    parser = Parser(prompt.front.answer_schema)

    assert len(table) == 150
    for item, shown, answer in table.select("item_id", "input", "answer").iter_rows():
        assert films.item_description(items[item]) == shown
        parsed = parser(answer)
        assert parsed == json.loads(answer)
        assert len(parsed["cast"]) <= 3  # pyright: ignore
        (message,) = prompt.render({"input": shown}, films)
        assert message["content"] == (
            "Describe this movie as JSON: subgenres (list), director, cast (up to three), themes (list), mood (list), reception "
            "(one of acclaimed, positive, mixed, negative, cult), acclaim (1 to 5, how critics and audiences in general value "
            f"it, one decimal), audience.\n\n{shown}"
        )


def test_the_recorded_answers_of_prompt_v2_are_found_again_by_their_prompt():
    prompt, films = choose_prompt("kar_item", 2), load_domain("films")
    engine = RecordedEngine("recorded", "", {"kar_item.v2": RECORDED}, films)
    table = pl.read_parquet(RECORDED)
    schema, sampling = prompt.front.answer_schema, prompt.front.sampling
    requests = []
    for shown in table["input"]:
        messages = tuple(prompt.render({"input": shown}, films))
        requests.append(Request(answer_key(messages, engine.identity, sampling, schema), messages, sampling, schema))

    assert [answer.text for answer in engine.generate(requests)] == table["answer"].to_list()


def test_version_2_is_a_draft_so_that_nobody_pays_for_it_unasked():
    assert choose_prompt("kar_item", 2).front.status == "draft"
    assert choose_prompt("kar_item").front.version == 1


def test_thinking_that_an_older_store_holds_is_no_part_of_an_answer():
    assert parse_answer("<think>Hm.</think>A warm film.", {"type": "text"}) == "A warm film."
    with pytest.raises(ParseFault, match="nothing but thinking"):
        parse_answer("<think>The user wants", {"type": "text"})
