"""The commands that ask a model, as a user calls them: limits, retries, plans with estimates, another engine."""

import json
import re

import pytest
from fault_server import serve


def test_a_limit_ends_a_refresh_with_one_and_the_same_command_goes_on(shop, knowflow):
    stopped = knowflow.run("refresh", "--config", str(shop.config), "--max-tokens", "100")
    gone_on = knowflow.run("refresh", "--config", str(shop.config), "--json")

    assert stopped.returncode == 1
    assert "of at most 100\n  the answers so far are kept; run the same command again to continue" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert gone_on.returncode == 0, gone_on.stderr
    assert len(shop.calls("gave")) == len(set(shop.calls("gave"))) == 20


def test_a_limit_on_money_needs_prices(shop, knowflow):
    done = knowflow.run("refresh", "--config", str(shop.config), "--max-cost", "5")

    assert done.returncode == 2
    assert "--max-cost has no effect: knowflow.yaml sets no prices" in done.stderr
    assert not (shop.folder / "runs").exists()


def test_retry_takes_just_the_rows_with_the_error(shop, knowflow):
    shop.configure(rules={"Thing 2": "refused", "Thing 3": "empty"}, gates={"answered": 0.5, "parse_failures": 0.5})
    shop.configure(tasks={"kar_item": {}})
    first = knowflow.run("refresh", "--config", str(shop.config))
    assert first.returncode == 0, first.stderr
    shop.configure(rules={})
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(13)})  # a new one, which no retry takes
    config = ("--config", str(shop.config))

    nothing = knowflow.run("retry", *config, "--error", "timeout")
    planned = knowflow.run("plan", *config, "--error", "parse", "--json")
    done = knowflow.run("retry", *config, "--error", "parse", "--json")

    assert nothing.returncode == 0
    assert "no row has the error timeout; recorded errors: parse (1 row), refused (1 row)" in nothing.stderr
    assert [task["calls"] for task in json.loads(planned.stdout)["tasks"]] == [1]
    assert done.returncode == 0, done.stderr
    asked = json.loads(done.stdout)["tasks"]
    assert [(one["task"], one["calls"]) for one in asked] == [("kar_item", 1)]
    rows = shop.lineage("kar_item")
    assert {row["entity"]: row["error"] for row in rows.values() if row["error"]}.keys() == {"i2"}
    assert len(rows) == 12


def test_a_plan_estimates_output_time_and_money_once_a_run_is_on_record(shop, knowflow):
    shop.configure(prices={"input_per_million": 1000.0, "output_per_million": 4000.0})
    config = ("--config", str(shop.config))
    before = json.loads(knowflow.run("plan", *config, "--json").stdout)
    assert knowflow.run("refresh", *config).returncode == 0
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(14)})

    after = json.loads(knowflow.run("plan", *config, "--json").stdout)
    told = knowflow.run("plan", *config)

    first, second = (said["tasks"][0] for said in (before, after))

    assert (first["output_tokens_estimate"], first["seconds_estimate"], first["cost_estimate"]) == (None, None, None)
    assert first["cost_at_most"] == (first["input_tokens"] * 1000 + 12 * 160 * 4000) / 1e6
    assert second["calls"] == 2
    assert 0 < second["output_tokens_estimate"] < second["output_tokens_at_most"] == 2 * 160
    assert second["cost_estimate"] == (second["input_tokens"] * 1000 + second["output_tokens_estimate"] * 4000) / 1e6
    assert "going by past runs" in told.stderr
    assert f"costs at most {second['cost_at_most']:.2f} USD, about {second['cost_estimate']:.2f}" in told.stderr
    to_encode, later = (said["encoding"][0] for said in (before, after))
    assert (to_encode["task"], to_encode["encoder"], to_encode["texts"]) == ("kar_item", "lexical", 12)
    assert (to_encode["seconds_estimate"], later["texts"]) == (None, 2)
    assert later["seconds_estimate"] > 0
    assert "encoding takes about a second, going by past runs on this machine" in told.stderr
    assert re.search(r"kar_item +lexical +2 +about a second\n", told.stdout)


def test_a_plan_says_that_an_encoder_is_not_here_and_plans_the_rest(shop, plain_knowflow):
    shop.configure(encoders={"dense": {"kind": "dense", "model": "elsewhere"}})

    done = plain_knowflow.run("plan", "--config", str(shop.config), "--task", "kar_item", "--json")

    found = json.loads(done.stdout)
    assert (done.returncode, found["tasks"][0]["calls"], found["encoding"]) == (0, 12, [])
    why = "a refresh here would stop: encoders.dense: model 'elsewhere'"
    assert [why in note for note in found["notes"]].count(True) == 1


def test_rows_that_do_not_fit_the_model_are_named_in_the_plan(shop, knowflow):
    shop.configure(options={"context_tokens": 172})

    done = knowflow.run("plan", "--config", str(shop.config), "--task", "kar_item")

    assert done.returncode == 0, done.stderr
    way_out = "serve the model with a longer context, or show less: history, or tasks.TASK.too_long"
    refresh = "then knowflow refresh sends its rows"  # they have no answer that a retry could ask for again
    assert f"kar_item: 12 rows cannot be sent: too_long: {way_out}; {refresh}" in done.stderr
    assert "knowflow retry" not in done.stderr
    assert "too long for the model's context: kar_item/i0/0" in done.stderr
    assert "and 7 more; --json names all" in done.stderr


def test_the_model_on_the_command_line_is_relative_to_where_it_is_called(shop, knowflow, tmp_path):
    model = tmp_path / "somewhere" / "mine"
    model.mkdir(parents=True)
    knowflow.root = tmp_path / "somewhere"

    done = knowflow.run("plan", "--config", str(shop.config), "--engine", "vllm", "--model", "mine")

    assert done.returncode == 2
    assert f"engine.model: {model}" in done.stderr


def test_what_comes_next_is_said_with_the_options_that_were_given(shop, knowflow):
    given = ("--config", str(shop.config), "--model", "another model", "--task", "kar_item")

    refresh = knowflow.run("plan", *given)
    retry = knowflow.run("plan", *given, "--error", "parse", "--error", "refused")

    assert f"next: knowflow refresh --task kar_item --model 'another model' --config {shop.config}\n" in refresh.stderr
    assert "next: knowflow retry --task kar_item --error parse --error refused --model 'another" in retry.stderr


def test_several_servers_share_a_run_and_their_addresses_change_no_key(shop, knowflow):
    config = ("--config", str(shop.config), "--engine", "openai", "--model", "tiny")

    with serve(lambda call: "good") as one, serve(lambda call: "good") as other, serve(lambda call: "good") as third:
        done = knowflow.run("refresh", *config, "--base-url", one.url, "--base-url", other.url, "--json")
        planned = knowflow.run("plan", *config, "--base-url", third.url)
        again = knowflow.run("refresh", *config, "--base-url", third.url)

    assert done.returncode == 0, done.stderr
    asked = one.seen.prompts + other.seen.prompts
    assert (len(asked), set(asked.values())) == (20, {1})
    assert one.seen.calls
    assert other.seen.calls
    assert f"next: knowflow refresh --engine openai --model tiny --base-url {third.url} --config" in planned.stderr
    assert "nothing is new, 0 asked" in again.stderr
    assert third.seen.calls == []


@pytest.mark.parametrize("address", ["user:{}@gpu1/v1", "https://user:{}@gpu1/v1", "https://gpu1/v1?key={}"])
@pytest.mark.parametrize("command", ["plan", "refresh"])
def test_a_password_in_an_address_is_neither_shown_nor_written(shop, knowflow, command, address):
    secret = "hunter2secret"
    given = ("--engine", "openai", "--model", "tiny", "--base-url", address.format(secret))

    done = knowflow.run(command, "--config", str(shop.config), *given)

    assert done.returncode == 2
    assert "engine.options.urls" in done.stderr
    assert secret not in done.stdout + done.stderr
    assert [path for path in shop.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []


def test_a_prompt_is_looked_at_with_the_servers_that_would_be_asked(shop, plain_knowflow):
    given = ("--config", str(shop.config), "--engine", "openai", "--model", "tiny")

    with serve(lambda call: "good") as one, serve(lambda call: "good") as other:
        urls = ("--base-url", one.url, "--base-url", other.url)
        shown = plain_knowflow.run("preview", "kar_item", *given, *urls)
        linted = plain_knowflow.run("prompts", "lint", "kar_item", *given, *urls, "--json")

    assert shown.returncode == 0, shown.stderr
    assert f"--base-url {one.url} --base-url {other.url} --config" in shown.stderr
    assert json.loads(linted.stdout)["prompts"]
    assert one.seen.calls == other.seen.calls == []


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "preview kar_item",
        "prompts lint kar_item",
        "prompts try kar_item --version v1",
        "prompts optimise kar_item",
        "rewrite warm --live",
    ],
)
def test_servers_for_an_engine_that_asks_none_are_refused(shop, plain_knowflow, command):
    given = ("--config", str(shop.config), "--engine", "recorded", "--base-url", "http://a/v1")

    done = plain_knowflow.run(*command.split(), *given)

    assert done.returncode == 2
    assert done.stderr == "--base-url: the engine 'recorded' asks no server\n  add --engine openai --model NAME\n"


def test_the_model_that_rewrites_a_prompt_may_have_servers_of_its_own(shop, plain_knowflow):
    asked = ("--config", str(shop.config), "--engine", "openai", "--model", "tiny", "--base-url", "http://a/v1")
    other = ("--reflect-engine", "recorded", "--reflect-base-url", "http://b/v1")

    done = plain_knowflow.run("prompts", "optimise", "kar_item", *asked, *other)

    assert done.returncode == 2
    assert done.stderr.startswith("--base-url: the engine 'recorded' asks no server\n")
