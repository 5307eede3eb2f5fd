"""Alarms: a real server sends them, by webhook and by mail, one for each run that needs somebody."""

import json
import os
import signal
from email.message import Message
from typing import Any

import pytest
from receivers import mail_receiver, web_receiver
from scheduled import Scheduled, processes_below, wait_until

from flows.alarms import alarms
from flows.automations import end_dead_runs

EVERYTHING = [
    ("work pool", "knowflow"),
    ("block", "knowflow-webhook"),
    ("block", "knowflow-email"),
    *(("automation", one.name) for one in end_dead_runs()),
    *(("automation", f"knowflow: tell that a run {one.name}") for one in alarms()),
]
SOON = ("--late-minutes", "0.2", "--stuck-hours", "0.01")


def set_up(prefect: Scheduled, *words: str) -> list[str]:
    """Call `knowflow ops setup`; gives what it did to each thing."""
    done = json.loads(prefect.knowflow("ops", "setup", "--json", *words))
    assert [(step["kind"], step["name"]) for step in done["steps"]] == EVERYTHING
    assert done["alarms"]
    return [step["does"] for step in done["steps"]]


def message_about(run: str, alarm: str, posts: list[dict[str, Any]], mails: list[Message]) -> dict[str, Any]:
    """Wait for the message about a run; gives what was posted. The mail says the same."""
    post = wait_until(lambda: next((one for one in posts if run in one["page"]), None), 120, lambda: f"{run}: {posts}")
    mail = wait_until(lambda: next((one for one in mails if run in text_of(one)), None), 60, lambda: str(mails))
    assert post["alarm"] == alarm
    assert (mail["From"], mail["To"]) == ("ops@example.com", "ops@example.com")
    assert text_of(mail).split() == post["text"].removeprefix("KnowFlow: ").split()
    return post


def text_of(mail: Message) -> str:
    return mail.get_payload(decode=True).decode()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.timeout(1200)  # they wait for minutes, and longer on a busy machine
@pytest.mark.slow(reason="a Prefect server, a worker, and runs that fail in all the ways there are")
def test_each_run_that_needs_somebody_sends_one_message_that_says_why_and_where_to_look(
    bare_prefect, make_shop, tmp_path
):
    prefect, shop, slow = bare_prefect, make_shop(items=4, users=1, tasks={"kar_item": {}}), make_shop(name="slow")
    shop.configure(rules={"Thing 3": "refused"})
    slow.configure(options={"seconds": 5.0})
    with web_receiver() as (address, posts), mail_receiver() as (smtp, mails):
        told = ("--webhook", address, "--email", "ops@example.com", "--smtp", smtp)
        assert set(set_up(prefect, *SOON, *told, "--dry-run")) == {"creates"}
        assert prefect.ask("automations") == []
        assert set(set_up(prefect, *SOON, *told)) == {"creates"}
        assert set(set_up(prefect, *SOON, *told)) == {"keeps"}
        assert set(set_up(prefect, *SOON)[3:]) == {"keeps"}  # a channel that is not given stays
        prefect.call("--no-prompt", "deploy", "--all")

        spent = prefect.start("refresh", config=str(shop.config), asking={"max_tokens": 40})
        late = message_about(spent, "late", posts, mails)
        posts.clear()
        mails.clear()
        assert set_up(prefect).count("changes") == 2  # late and stuck have their usual time again
        with prefect.worker() as worker:
            budget = message_about(spent, "budget reached", posts, mails)
            closed = message_about(prefect.start("refresh", config=str(shop.config)), "gate closed", posts, mails)
            none = prefect.start("nightly", config=str(tmp_path / "none.yaml"))
            failed = message_about(none, "failed", posts, mails)
            assert set_up(prefect, "--stuck-hours", "0.01").count("changes") == 1
            hanging = prefect.start("nightly", config=str(slow.config))
            stuck = message_about(hanging, "stuck", posts, mails)
            so_far = [one["alarm"] for one in posts]
            posts.clear()
            mails.clear()
            for one in processes_below(worker.pid):
                os.kill(one, signal.SIGKILL)
            message_about(hanging, "crashed", posts, mails)

    assert so_far == [
        "budget reached",
        "gate closed",
        "failed",
        "stuck",
    ]  # no second one, as for the refresh of a night
    assert late["text"].startswith(f"KnowFlow: refresh {shop.config} has not started 12 seconds after its time.")
    assert budget["reason"].startswith("stopped after 1 of 4 calls of kar_item: ")
    assert closed["text"].startswith(f"KnowFlow: refresh {shop.config} was stopped by a gate; nothing was released.")
    assert "FAILED  kar_item answered: 75.0% of 4 rows" in closed["reason"]
    assert closed["page"].startswith(f"{prefect.url.removesuffix('/api')}/runs/flow-run/")
    assert closed["help"] == "docs/operations.md#a-gate-is-closed"
    assert (failed["flow"], failed["state"]) == ("nightly", "Failed")
    assert "there is no such file" in failed["reason"]
    assert stuck["text"].startswith(f"KnowFlow: nightly {slow.config} still runs after 36 seconds.")
    for run in prefect.ask("flow_runs"):
        kept = {one["key"] for one in prefect.ask("artifacts", artifacts={"flow_run_id": {"any_": [run["id"]]}})}
        if run["state"]["name"] == "GateClosed":
            assert {"plan-kar-item", "gates", "refresh"} <= kept
