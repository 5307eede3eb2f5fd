"""Thinking is no answer: blocks at the beginning go, a block that was cut off is no text, all else stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.thinking import without_thinking

ANSWER = "A warm film."
HARMONY = "<|channel|>analysis<|message|>Who asks?<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\nOkay.\n</think>\n\n{ANSWER}",
        f"\n<think>Okay.</think>{ANSWER}",
        f"<think>\n\n</think>\n\n{ANSWER}\n",
        f"<thinking>Hm.</thinking>\n<think>Again.</think>\n{ANSWER}",
        f"<reasoning>\nHm.\n</reasoning>\n{ANSWER}",
        f"Okay, the user wants facts.\n</think>\n\n{ANSWER}",
        f"◁think▷Hm.◁/think▷{ANSWER}",
        f"[THINK]Hm.[/THINK]{ANSWER}",
        f"{HARMONY}{ANSWER}<|return|>",
        f"{HARMONY}{ANSWER}",
        f"analysisThe user wants facts.assistantfinal{ANSWER}",
    ],
)
def test_thinking_before_an_answer_is_no_part_of_it(text):
    assert without_thinking(text) == ANSWER


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nOkay, the user wants",
        "<think>\nOkay.\n</think>\n\n",
        "<thinking>Hm.</thinking><think>And",
        "Okay.\n</think>\n",
        "<|channel|>analysis<|message|>Who asks",
        "[THINK]Hm",
    ],
)
def test_an_answer_that_is_nothing_but_thinking_has_no_text(text):
    assert without_thinking(text) is None


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "",
        " \n",
        "The tag <think> opens a block, and </think> closes it.",
        "A film <think>\nabout\n</think>\nthoughts.",
        "analysis of a warm film",
        "He said <reasoning>.",
        '{"note": "</think>"}',
    ],
)
def test_a_text_that_only_mentions_thinking_stays_as_it_is(text):
    assert without_thinking(text) == text


@given(st.text(alphabet=st.characters(exclude_characters="<[◁")), st.text(min_size=1).filter(str.strip))
def test_any_thought_goes_and_any_answer_stays(thought, answer):
    plain = answer if without_thinking(answer) == answer else ANSWER

    assert without_thinking(f"<think>{thought}</think>{plain}") == plain.strip()
