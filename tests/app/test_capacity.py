"""Capacity: every figure by hand, curves through the measured sizes, and the shipped costs are those that were measured."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.capacity import MODELS, Shop, asking, capacity, read_measured, stage_at, storage_bytes
from base.faults import WrongUse

ROOT = Path(__file__).parents[2]
SHOP = Shop(users=100, items=20, changed=0.05, prompt_tokens=500, answer_tokens=150, width=384)
CURVE = {10: {"cpu_seconds": 2.0, "peak_gib": 1.0}, 100: {"cpu_seconds": 40.0, "peak_gib": 1.0}}
MEASURED = {
    "sizes": {"10": {"load": CURVE[10]}, "100": {"load": CURVE[100]}},
    "bytes_a_row": 600,
    "answer_tokens": 10,
}


def test_tokens_hours_and_money_by_hand():
    found = asking(7_200, SHOP, rate=2, prices={"gpu_hour": 3.0, "input": 0.5, "output": 2.0})

    assert (found.input_tokens, found.output_tokens) == (3_600_000, 1_080_000)
    assert found.gpu_hours == 1  # 7,200 / 2 / 3,600
    assert found.cost == pytest.approx(3 + 3.6 * 0.5 + 1.08 * 2)
    assert asking(7_200, SHOP, rate=0, prices={}).gpu_hours == 0


def test_a_stage_lies_on_the_curve_through_the_measured_sizes():
    # 2 -> 40 s over a factor of ten: e = log10(20)
    between = stage_at("load", 50, CURVE)
    beyond = stage_at("load", 1_000, CURVE)

    assert between.cpu_seconds == pytest.approx(40 * 0.5**1.30103, rel=1e-5)
    assert (between.measured, beyond.measured) == (True, False)
    assert beyond.cpu_seconds == pytest.approx(800)
    assert beyond.peak_gib == pytest.approx(1)
    assert stage_at("load", 3, CURVE).cpu_seconds == 2
    assert stage_at("load", 100, CURVE).cpu_seconds == pytest.approx(40)


def test_beyond_what_was_measured_nothing_grows_more_slowly_than_the_users():
    flat = {10: {"cpu_seconds": 3.0, "peak_gib": 1.0}, 100: {"cpu_seconds": 4.0, "peak_gib": 1.0}}

    assert stage_at("load", 1_000, flat).cpu_seconds == pytest.approx(40)
    assert stage_at("load", 50, flat).cpu_seconds < 4


def test_a_store_holds_rows_longer_answers_twice_and_vectors():
    assert storage_bytes(SHOP, 600, 10) == {
        "answers and lineage": 120 * (600 + 2 * 4 * 140),
        "vectors": 120 * 384 * 2,
    }


def test_all_of_it_and_what_exceeds_a_machine():
    found = capacity(SHOP, 2, {}, memory_gib=0.5, measured=MEASURED)

    assert (found["first"].rows, found["daily"].rows) == (120, pytest.approx(6))
    assert found["gpus_busy"] == pytest.approx(6 / 2 / 3600 / 24)
    assert [one.name for one in found["stages"]] == ["load"]
    assert found["over"] == ["load needs 1 GiB"]
    assert capacity(SHOP, 2, {}, memory_gib=2, measured=MEASURED)["over"] == []


@pytest.mark.parametrize("wrong", [{"users": 0}, {"changed": 1.5}, {"items": -1}])
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(WrongUse, match="capacity"):
        capacity(replace(SHOP, **wrong), 2, {}, 24, MEASURED)


def test_the_model_of_a_hundred_million_users_needs_as_many_gpus_as_the_notes_on_scale_say():
    shop = replace(SHOP, users=100_000_000, items=10_000_000)

    # 5.5 million rows a day at 25 to 36 a second: 2.5 to 1.8 GPUs
    busy = capacity(shop, MODELS["8b-h100"].requests_per_second, {}, 24, MEASURED)["gpus_busy"]
    assert 1.6 <= busy <= 2.6


def test_the_shipped_costs_are_those_of_the_kept_result():
    file = ROOT / "benchmarks" / "capacity_costs.py"
    spec = importlib.util.spec_from_file_location("capacity_costs", file)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    growth = json.loads((ROOT / "benchmarks" / "results" / "growth.json").read_text(encoding="utf-8"))

    assert read_measured() == script.costs(growth)


def test_the_command_prints_every_figure_with_its_formula(plain_knowflow):
    done = plain_knowflow.run("capacity", "--users", "1000000", "--gpu-hour", "3")
    told = json.loads(plain_knowflow.run("capacity", "--users", "1000000", "--json").stdout)
    wrong = plain_knowflow.run("capacity", "--users", "1000000", "--model", "gpt")

    assert done.returncode == 0, done.stderr
    assert "rows / 30 a second / 3,600" in done.stdout
    assert "users x (" in done.stdout
    assert "assumed, not measured here: an 8B model" in done.stderr
    assert told["first"]["rows"] == 1_050_000
    assert told["first"]["gpu_hours"] == pytest.approx(1_050_000 / 30 / 3600)
    assert (wrong.returncode, "give one of 8b-h100" in wrong.stderr) == (2, True)
