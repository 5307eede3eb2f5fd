"""2,000 rows, two servers that fail in every way, one of them killed half-way: nothing is lost, doubled or mixed up."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fault_server
import pytest
from fault_server import RATES, answer_of

from base.progress import silent
from feature_store.answers import read_answers
from feature_store.keys import check_keys
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task

PROGRAM = Path(fault_server.__file__)
ROWS, CONCURRENCY = 2000, 24
ALWAYS = {
    "error_500": "http_500",
    "garbage": "garbage",
    "truncated_utf8": "garbage",
    "cut": "connection",
}


@contextmanager
def server_process(log: Path, seed: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of its own process, which the test may kill."""
    arguments = [sys.executable, str(PROGRAM), "--seed", str(seed), "--log", str(log)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


@pytest.mark.slow(reason="2,000 rows, some of which meet real timeouts")
def test_every_row_of_a_faulty_run_ends_answered_or_as_an_error_row_with_its_reason(make_shop, tmp_path):
    shop = make_shop(items=ROWS, users=1)
    titles = {f"i{place}": f"Thing {place}" for place in range(ROWS)}
    for place, fault in enumerate(ALWAYS):
        titles[f"i{place * 400}"] += f" always:{fault} "
    titles["i1999"] += " always:hang "
    shop.write_items(titles)
    logs = [tmp_path / "one.txt", tmp_path / "other.txt"]
    killed: list[int] = []

    with server_process(logs[0], 1) as (process, one), server_process(logs[1], 2) as (_, other):
        options = {"urls": [one, other], "concurrency": CONCURRENCY, "timeout": 2, "attempts": 9, "backoff": 0.05}
        options |= {"longest_backoff": 1, "probe_after": 0.1}
        shop.configure(engine={"name": "openai", "model": "tiny", "options": options})

        def kill_half_way(what: str, done: int, total: int) -> None:
            if done == ROWS // 2:
                process.kill()
                killed.append(process.wait())

        place = shop.place()
        with place.store.writer("a test") as writer:
            done = generate(plan_task(find_tasks()["kar_item"], place), place, writer, kill_half_way)
        shop.place()
        with place.store.writer("a test") as writer:
            again = generate(plan_task(find_tasks()["kar_item"], place), place, writer, silent)

    assert killed == [-9]
    assert (done.rows, done.calls, done.answered, again.calls) == (ROWS, ROWS, ROWS - 5, 5)  # the servers were at fault
    assert done.errors == {"http_500": 1, "garbage": 2, "connection": 1, "timeout": 1}
    assert check_keys(place.store, "answers", "key") == ROWS
    rows = shop.lineage("kar_item")
    assert len(rows) == ROWS
    for number, fault in enumerate(ALWAYS):
        assert rows[f"kar_item/i{number * 400}/0"]["error"].startswith(f"{ALWAYS[fault]}: after 9 attempts: ")
    assert rows["kar_item/i1999/0"]["error"] == "timeout: after 9 attempts: no reply within 2 seconds"
    answers = read_answers(place.store, [row["answer_key"] for row in rows.values()], ["key", "text", "messages"])
    prompts = {
        key: json.loads(messages)[-1]["content"] for key, messages in answers.select("key", "messages").iter_rows()
    }
    for name, row in rows.items():
        if row["error"] is None:
            assert titles[name.split("/")[1]] in prompts[row["answer_key"]]
            assert row["text"] == answer_of(prompts[row["answer_key"]])
    happened = [line for log in logs for line in log.read_text().splitlines()]
    assert set(happened) == {"good", *RATES}  # every kind of fault really came
    assert happened.count("good") + happened.count("slow") >= ROWS - 5
