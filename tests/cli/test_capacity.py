"""knowflow capacity: every figure with its formula and its origin, JSON, prices of a knowflow.yaml, wrong use in words."""

import json

import pytest

MILLION = ("capacity", "--users", 1_000_000)


def test_every_figure_has_its_formula_and_says_what_it_is(plain_knowflow):
    done = plain_knowflow.run(*MILLION, "--gpu-hour", 3)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (hours,) = [line.split() for line in lines if line.startswith("GPU hours  ")]
    assert hours[2:] == ["rows", "/", "25", "a", "second", "assumed", "11.7", "0.6"]  # 1,050,000 / 25 / 3,600
    (plan,) = [line for line in lines if line.startswith("plan ")]
    assert "users x (1,000,000 / " in plan
    assert "assumed, not measured here: an 8B model" in done.stderr


def test_as_json_and_with_a_rate_of_one_s_own(plain_knowflow):
    line = (
        *MILLION,
        "--items",
        0,
        "--requests-per-second",
        100,
        "--prompt-tokens",
        200,
        "--answer-tokens",
        20,
        "--json",
    )

    told = json.loads(plain_knowflow.run(*line).stdout)

    assert told["first"]["gpu_hours"] == pytest.approx(1_000_000 / 100 / 3600)
    assert told["daily"]["output_tokens"] == pytest.approx(0.05 * 1_000_000 * 20)
    assert told["storage"]["vectors_float16"] == 1_000_000 * 384 * 2
    assert {"plan", "publish", "samples"} <= {one["name"] for one in told["stages"]}


def test_beyond_what_was_measured_it_says_so_and_names_what_exceeds_a_machine(plain_knowflow):
    small = plain_knowflow.run("capacity", "--users", 1000)
    large = plain_knowflow.run("capacity", "--users", 100_000_000)

    assert "extrapolated" not in small.stdout + small.stderr
    assert "more than one machine" not in small.stderr
    assert "extrapolated: from the size that the formula names" in large.stderr
    assert "parts of the users, each with its own knowflow.yaml and store" in large.stderr
    assert "servers under engine.options.urls" in large.stderr


def test_prices_come_from_knowflow_yaml_and_options_come_first(plain_knowflow, shop):
    shop.configure(prices={"input_per_million": 2.0, "output_per_million": 8.0, "currency": "EUR"})
    line = (*MILLION, "--items", 0, "--model", "paid-by-token", "--config", shop.config)

    whole = plain_knowflow.run(*line)
    told = json.loads(plain_knowflow.run(*line, "--output-price", 0, "--json").stdout)

    (cost,) = [line.split() for line in whole.stdout.splitlines() if line.startswith("cost, EUR")]
    assert cost[-2:] == ["2,200.00", "110.00"]  # 500 million tokens x 2 + 150 million x 8; a day 5% of it
    assert "GPU" not in whole.stdout
    assert (told["first"]["cost"], told["currency"]) == (1000.0, "EUR")


def test_an_unknown_model_and_numbers_out_of_range_are_told(plain_knowflow):
    model = plain_knowflow.run(*MILLION, "--model", "gpt")
    users = plain_knowflow.run("capacity", "--users", 0)
    unpriced = plain_knowflow.run(*MILLION, "--model", "paid-by-token")

    assert (model.returncode, users.returncode, unpriced.returncode) == (2, 2, 2)
    assert unpriced.stderr.startswith("--model paid-by-token: nothing has a price\n  give --input-price")
    assert "--model: gpt is not known\n  give one of 8b-h100, 8b-h100-short, paid-by-token" in model.stderr
    assert "--users" in users.stderr
