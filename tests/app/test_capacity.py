"""Capacity: every figure by hand, what exceeds a machine, and what is shipped and shown is what was measured."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from app.capacity import MODELS, Model, Shop, asking, capacity, storage_bytes
from app.stage_costs import read_measured, refresh_of, stage_at, stages_at
from base.faults import WrongUse
from llm_tasks.pipeline.budget import Prices

ROOT = Path(__file__).parents[2]
SHOP = Shop(users=100, items=5, events_a_user=9.5, changed=0.05, prompt_tokens=500, answer_tokens=150, width=384)
TWO = Model(2, 4, 500, 150, "two to four a second")
CURVE = {10: {"cpu_seconds": 2.0, "peak_gib": 1.0}, 100: {"cpu_seconds": 40.0, "peak_gib": 1.9}}
MEASURED = {
    "sizes": {"10": {"load": CURVE[10]}, "100": {"load": CURVE[100]}},
    "bytes_a_row": 600,
    "prompt_tokens": 100,
    "answer_tokens": 10,
    "disk_ratio": 1.5,
    "request_cpu_seconds": 0.001,
}


@pytest.fixture(scope="module")
def script():
    file = ROOT / "benchmarks" / "capacity_costs.py"
    spec = importlib.util.spec_from_file_location("capacity_costs", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tokens_hours_and_money_by_hand():
    prices = Prices(input_per_million=0.5, output_per_million=2.0)
    found = asking(7_200, SHOP, TWO, prices, gpu_hour=3.0, request_cpu_seconds=0.001)

    assert (found.input_tokens, found.output_tokens) == (3_600_000, 1_080_000)
    assert found.gpu_hours == 1  # 7,200 / 2 / 3,600
    assert found.gpu_hours_at_best == 0.5
    assert found.client_cpu_hours == pytest.approx(0.002)  # 7.2 s
    assert found.cost == pytest.approx(1 * 3 + 3.6 * 0.5 + 1.08 * 2)


def test_a_rate_holds_for_its_own_tokens_and_a_model_paid_by_tokens_needs_no_gpu():
    longer = replace(SHOP, prompt_tokens=1_000, answer_tokens=300)

    assert asking(7_200, longer, TWO, Prices()).gpu_hours == 2  # twice the tokens
    assert asking(7_200, SHOP, MODELS["paid-by-token"], Prices()).gpu_hours == 0


def test_a_stage_lies_on_the_curve_through_the_measured_sizes():
    # 2 -> 40 s over a factor of ten: e = log10(20); memory 0.01 GiB a user
    between = stage_at("load", 50, CURVE)
    beyond = stage_at("load", 1_000, CURVE)

    assert between.cpu_seconds == pytest.approx(40 * 0.5**1.30103, rel=1e-5)
    assert between.peak_gib == pytest.approx(1.4)
    assert (between.measured, beyond.measured) == (True, False)
    assert beyond.cpu_seconds == pytest.approx(800)
    assert beyond.peak_gib == pytest.approx(10.9)
    assert beyond.formula == "40.0 s at 100 users x (1,000 / 100)^1.30"
    assert stage_at("load", 3, CURVE).cpu_seconds == 2
    assert stage_at("load", 100, CURVE).cpu_seconds == pytest.approx(40)


def test_beyond_what_was_measured_cpu_time_grows_no_more_slowly_than_the_users():
    flat = {10: {"cpu_seconds": 3.0, "peak_gib": 1.0}, 100: {"cpu_seconds": 4.0, "peak_gib": 1.0}}

    assert stage_at("load", 1_000, flat).cpu_seconds == pytest.approx(40)
    assert stage_at("load", 50, flat).cpu_seconds < 4


def test_loading_and_samples_go_with_events_the_rest_with_rows():
    sizes = {
        users: dict.fromkeys(("load", "plan", "samples"), of) for users, of in (("10", CURVE[10]), ("100", CURVE[100]))
    }

    # 950 events = 100 users of 9.5; 10.5 rows = 10 users and half an item
    found = {one.name: one.cpu_seconds for one in stages_at(rows=10.5, events=950, sizes=sizes)}

    assert found == {"load": pytest.approx(40), "plan": 2, "samples": pytest.approx(40)}


def test_a_day_s_refresh_lies_between_that_of_one_percent_and_the_first():
    assert refresh_of(0.001, first=109, small=10) == 10
    assert refresh_of(0.05, first=109, small=10) == pytest.approx(14)  # 10 + 99 x 0.04 / 0.99
    assert refresh_of(1, first=109, small=10) == pytest.approx(109)
    assert refresh_of(0.5, first=5, small=10) == 10


def test_a_store_holds_longer_prompts_once_longer_answers_twice_and_vectors_in_half_precision():
    answers, vectors = 105 * (600 + 4 * (400 + 2 * 140)), 105 * 384 * 2

    assert storage_bytes(SHOP, MEASURED) == {
        "answers": answers,
        "vectors_float16": vectors,
        "on_disk": 1.5 * (answers + vectors),
        "vectors_float32": 2 * vectors,
    }


def test_all_of_it_and_what_exceeds_a_machine():
    found = capacity(SHOP, TWO, Prices(), 0.0, memory_gib=0.5, measured=MEASURED)

    assert (found.first.rows, found.daily.rows) == (105, pytest.approx(5.25))
    assert found.gpus_busy == pytest.approx(5.25 / 2 / 3600 / 24)
    assert [one.name for one in found.stages] == ["load"]
    assert found.first_cpu_seconds == pytest.approx(40)
    (over,) = found.over
    assert over.startswith("memory, GiB of 0.5: load 2; a machine with 2 GiB, or 4 parts of the users")
    assert capacity(SHOP, TWO, Prices(), 0.0, 2, MEASURED).over == ()


def test_more_than_a_day_of_one_core_and_more_than_one_gpu_are_told():
    # 4,000 s at 10,000 users' worth of load, x 50 = 200,000 s = 56 hours = 2.3 days; all rows a day at 2 a second
    sizes = {"10": {"load": CURVE[10]}, "100": {"load": {"cpu_seconds": 20.0, "peak_gib": 1.0}}}
    shop = replace(SHOP, users=1_000_000, items=0, changed=1.0)

    found = capacity(shop, TWO, Prices(), 0.0, memory_gib=1e9, measured={**MEASURED, "sizes": sizes})

    assert found.first_cpu_seconds == pytest.approx(200_000)
    time, gpus = found.over
    assert time == "time: a day's refresh takes 56 hours of one core; 3 such parts, side by side"
    assert gpus.startswith("GPUs: 5.8 are busy all day; 6 servers")  # 1,000,000 / 2 / 86,400


@pytest.mark.parametrize("wrong", [{"users": 0}, {"changed": 1.5}, {"items": -1}, {"events_a_user": -1.0}])
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(WrongUse, match="capacity"):
        capacity(replace(SHOP, **wrong), TWO, Prices(), 0.0, 24, MEASURED)


def test_a_hundred_million_users_take_as_many_gpus_as_by_hand():
    # 5% of 100 million users: 5 million requests a day, 2.5 + 0.75 billion tokens; at 25 to 36 a second 2.3 to 1.6 GPUs
    users = replace(SHOP, users=100_000_000, items=0)
    found = capacity(users, MODELS["8b-h100"], Prices(), 0.0, 24, MEASURED)
    short = capacity(replace(users, answer_tokens=64), MODELS["8b-h100-short"], Prices(), 0.0, 24, MEASURED)

    assert (found.daily.input_tokens, found.daily.output_tokens) == (2.5e9, 0.75e9)
    assert found.gpus_busy == pytest.approx(5e6 / 25 / 86_400)
    assert found.daily.gpu_hours_at_best / 24 == pytest.approx(5e6 / 36 / 86_400)
    assert (round(found.first.gpu_hours), round(found.first.gpu_hours_at_best)) == (1_111, 772)
    assert round(short.daily.gpu_hours, 1) == 6.3


def test_the_shipped_costs_are_those_of_the_kept_results(script):
    results = {name: script.read_result(name) for name in ("growth", "openai_requests")}

    assert read_measured() == script.costs(**results), "run benchmarks/keep.py capacity_costs"


def test_what_the_page_shows_is_what_the_command_prints(script):
    kept = script.read_result("capacity_costs")

    for name, options in script.LINES.items():
        assert script.printed(options) == kept[name], "run benchmarks/keep.py capacity_costs"
    assert kept["foretold"] == {
        name: {kind: round(value, 6) for kind, value in of.items()}
        for name, of in script.foretold(script.read_result("growth"), script.MILLION).items()
    }
