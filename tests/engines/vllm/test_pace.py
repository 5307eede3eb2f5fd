"""The pace of a run: what is written before rows are finished, and a warning when it is far too slow."""

import json
import logging
import time
from types import SimpleNamespace

import pytest

from engines.vllm.load import cpu_dtype
from engines.vllm.pace import Pace


def state(prompt: int, written: int, reading: bool = False):
    """A request in vLLM: tokens of its prompt, tokens written, whether its prompt is still being read."""
    detokenizer = SimpleNamespace(num_output_tokens=lambda: written)
    return SimpleNamespace(prompt_len=prompt, detokenizer=detokenizer, is_prefilling=reading)


def output(prompt: int, written: int):
    return SimpleNamespace(prompt_token_ids=[0] * prompt, outputs=[SimpleNamespace(token_ids=[0] * written)])


def test_tokens_of_unfinished_rows_count_and_are_told_once_a_second():
    now, told, states = [0.0], [], [state(100, 5), state(100, 0, reading=True)]
    pace = Pace(lambda: states, "", told.append, lambda: now[0])

    for second in (0.5, 1.0, 1.5, 2.1):
        now[0] = second
        pace.step()
        states.append(state(10, 2))
    pace.finish(output(30, 7))

    assert told == [5 + 2, 5 + 3 * 2]  # at 1.0 and at 2.1
    assert pace.written() == 7 + 5 + 4 * 2
    assert pace.read() == 30 + 100 + 4 * 10  # one prompt is still being read


@pytest.mark.parametrize(
    ("states", "seconds", "slow"),
    [
        ([state(300, 0, reading=True)] * 16, 20.0, True),  # not one prompt has been read
        ([state(10, 9)], 20.0, True),  # 19 tokens in 20 seconds
        ([state(10, 10)], 20.0, False),
        ([state(300, 0)], 20.0, False),
    ],
)
def test_a_run_below_a_token_a_second_is_reported_with_its_cause(caplog, states, seconds, slow):
    now = [0.0]
    pace = Pace(lambda: states, "it computes in bfloat16", None, lambda: now[0])
    now[0] = seconds

    with caplog.at_level(logging.WARNING):
        assert pace.judge() is slow
    assert ("the likely cause: it computes in bfloat16" in caplog.text) is slow


def test_a_run_that_ends_early_is_not_judged(caplog):
    with Pace(list, "", None, time.monotonic).judged():
        pass

    assert caplog.text == ""


@pytest.mark.parametrize(("own", "given"), [("float32", "auto"), ("float16", "auto"), ("bfloat16", "bfloat16")])
def test_auto_is_decided_here_and_said_in_one_line_and_a_given_format_is_kept(tmp_path, caplog, own, given):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": own}))

    with caplog.at_level(logging.WARNING):
        chosen = cpu_dtype({"model": str(tmp_path), "dtype": given})

    assert chosen == ("float32" if given == "auto" else given)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (given == "auto")
    assert all(f"{tmp_path.name} runs in float32 on this CPU: " in line for line in said)
