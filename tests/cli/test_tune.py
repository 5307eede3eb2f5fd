"""knowflow tune sft as a user calls it: what it says, what it refuses, and that a killed one goes on."""

import json
import time
from pathlib import Path

import pytest


@pytest.fixture
def sums(tmp_path) -> Path:
    """Instructions of our own, free of rights (CC0)."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{one} + {two} ="},
                {"role": "assistant", "content": f"{one + two}"},
            ]
        }
        for one in range(8)
        for two in range(8)
    ]
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def tune(make_shop, tiny, sums, plain_knowflow):
    """The words of the command on a shop of 140 training rows, with further options."""
    shop = make_shop(items=97, users=20, events=10)
    plain_knowflow.environment["OMP_NUM_THREADS"] = "1"

    def words(out: Path, *options: str) -> list[str]:
        given = {"--model": str(tiny), "--instructions": str(sums), "--learning-rate": "5e-3", "--batch-rows": "2"}
        left = [word for name, value in given.items() if name not in options for word in (name, value)]
        return ["tune", "sft", "--config", str(shop.config), "--out", str(out), *left, *options]

    return words


def test_a_tuning_says_what_was_learnt_what_came_of_it_and_how_to_use_it(tune, plain_knowflow, tmp_path):
    out = tmp_path / "recgen"

    told = plain_knowflow.run(*tune(out, "--held-out", "10", "--merged", str(tmp_path / "merged")))
    counted = plain_knowflow.run(*tune(out, "--held-out", "10", "--resume", "--json"))

    assert told.returncode == counted.returncode == 0, told.stderr + counted.stderr
    found = json.loads(counted.stdout)
    lines = told.stdout.splitlines()
    assert lines[0] == "tuned tiny (lora)"
    # 20 users with 8 training events each, the first without a history: 140, half of them 70, and 64 instructions.
    assert [line.split() for line in lines[2:4]] == [["recommendation", "64", "140"], ["instructions", "64", "64"]]
    assert lines[4].startswith(
        f"{found['learnt']['tokens']:,} tokens, {found['learnt']['answer_tokens']:,} of them in answers"
    )
    assert lines[5].startswith("10 held-out rows: loss of the true answer ")
    assert found["held_out"]["after"]["loss"] < found["held_out"]["before"]["loss"]
    assert lines[-1] == f"adapter {out}, revision {found['revision']}"
    assert told.stderr.splitlines()[-1] == (
        f"next: add it to knowflow.yaml: tasks: {{TASK: {{adapter: {{name: recgen, path: {out}}}}}}}"
    )
    steps = found["learnt"]["steps"]
    assert f"tuning steps: {steps} of {steps}, " in told.stderr
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_a_killed_tuning_goes_on_and_ends_with_the_adapter_of_an_undisturbed_one(tune, plain_knowflow, tmp_path):
    options = ["--save-every", "2", "--held-out", "0", "--epochs", "3"]
    whole = plain_knowflow.run(*tune(tmp_path / "whole", *options))
    process = plain_knowflow.start(*tune(tmp_path / "killed", *options))
    try:
        deadline = time.monotonic() + 240
        while not (tmp_path / "killed" / ".tuning" / "checkpoint-4").is_dir():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()
    refused = plain_knowflow.run(*tune(tmp_path / "killed", *options))
    assert not (tmp_path / "killed" / "adapter_model.safetensors").exists()

    gone_on = plain_knowflow.run(*tune(tmp_path / "killed", *options, "--resume"))

    assert whole.returncode == gone_on.returncode == 0, whole.stderr + gone_on.stderr
    assert refused.returncode == 2
    assert "holds a tuning that was not finished\n  add --resume to continue it" in refused.stderr
    names = ["adapter_config.json", "adapter_model.safetensors", "knowflow_tuning.json"]
    assert [(tmp_path / "killed" / name).read_bytes() for name in names] == [
        (tmp_path / "whole" / name).read_bytes() for name in names
    ]


def test_what_cannot_be_tuned_is_told_in_words_and_nothing_is_written(tune, plain_knowflow, tmp_path, tiny):
    out = tmp_path / "out"
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"messages": []}\n{\n')
    (tmp_path / "there").mkdir()
    cases = {
        ("--rank", "0", "--share", "2", "--method", "lara"): "--method: should be 'lora' or 'full', not lara\n"
        "--rank: should be greater than or equal to 1, not 0\n--share: should be less than or equal to 1, not 2\n"
        "  see: knowflow tune sft --help\n",
        ("--model", str(tmp_path / "there")): f"--model: {tmp_path / 'there'} holds no config.json and no weights",
        ("--instructions", str(broken)): "broken.jsonl: 2 faults, nothing was read\n",
        ("--instructions", str(tmp_path / "none.jsonl")): "there is no such file",
        ("--method", "full", "--merged", str(out)): "--merged: --method full has no adapter to merge\n",
        ("--merged", str(tmp_path / "there")): "--merged: " + str(tmp_path / "there") + " already exists\n",
    }

    for options, told in cases.items():
        done = plain_knowflow.run(*tune(out, *options))
        assert (done.returncode, done.stdout) == (2, ""), options
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert not out.exists()
