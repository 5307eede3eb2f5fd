"""A key that servers throw back: it stands in no file, no log, no report and no message."""

import base64
import logging
from pathlib import Path

import pytest
from fault_server import Call, completion, serve, told
from openai_asking import engine_of
from starlette.responses import JSONResponse, Response

from engines.protocol import EngineFault
from engines.request import Request

KEY = "sk-proj-Zy0123456789secret/+abc"
ENGINE = {"attempts": 2, "backoff": 0.01, "concurrency": 4}


def throws_back(call: Call) -> Response | str:
    """A server that echoes the header in errors of every kind, and even in an answer."""
    header = call.headers["authorization"]
    replies = {
        "Thing 1": told(400, f"bad request with {header}"),
        "Thing 2": Response(f"oh no: {header}", 500),
        "Thing 3": told(400, f"context length; headers: {header}"),
        "Thing 4": Response(f"<html>{header}".encode(), 200),
        "Thing 5": JSONResponse(completion(call.prompt, text=f"your header is {header}")),
        "Thing 6": told(503 if call.count else 429, f"{header} " * 50, headers={"X-Echo": header}),
    }
    return replies.get(call.prompt.splitlines()[-1], "good")


def files_with(secret: str, folder: Path) -> list[Path]:
    wanted = [secret.encode(), secret[:20].encode(), base64.b64encode(secret.encode())[:20]]
    return [p for p in folder.rglob("*") if p.is_file() and any(part in p.read_bytes() for part in wanted)]


def test_a_whole_refresh_leaves_no_trace_of_the_key(make_shop, knowflow, tmp_path):
    shop = make_shop(items=12, users=1, tasks={"kar_item": {}}, gates={"answered": 0.1})
    knowflow.environment |= {
        "OPENAI_API_KEY": KEY,
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "llm_tasks,aiohttp,asyncio",
    }
    with serve(throws_back) as one:
        shop.configure(engine={"name": "openai", "model": "tiny", "options": {**ENGINE, "urls": one.url}})
        runs = [knowflow.run_apart("refresh", "--config", str(shop.config))]
        runs += [knowflow.run_forked(command, "--config", str(shop.config)) for command in ("plan", "status")]
        asked = [call.headers["authorization"] for call in one.seen.calls]
    with serve(lambda call: told(401, f"Incorrect API key: {call.headers['authorization']}")) as one:
        shop.configure(engine={"name": "openai", "model": "other", "options": {**ENGINE, "urls": one.url}})
        runs.append(knowflow.run_apart("refresh", "--config", str(shop.config)))

    assert [run.returncode for run in runs[:3]] == [0, 0, 0], runs[0].stderr
    assert runs[-1].returncode != 0
    assert set(asked) == {f"Bearer {KEY}"}  # it was really sent
    assert "Incorrect API key: Bearer [key]" in runs[-1].stderr
    errors = {row["entity"]: row["error"] for row in shop.lineage("kar_item").values() if row["error"]}
    assert errors["i1"] == "bad_request: HTTP 400: bad request with Bearer [key]"
    assert set(errors) == {"i1", "i2", "i3", "i4", "i6"}
    for run in runs:
        assert KEY[:20] not in run.stdout + run.stderr
    assert files_with(KEY, tmp_path) == []
    assert files_with("[key]", shop.folder)  # the search finds what is there


def test_a_key_is_in_no_log_fault_or_repr(monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    refuses = lambda call: told(401, f"no {call.headers['authorization']}")  # noqa: E731
    with serve(refuses) as one, serve(throws_back) as other:
        asking = engine_of("tiny", urls=[one.url, other.url], **ENGINE)
        rows = [Request(str(n), ({"role": "user", "content": f"Thing {n}"},), {}, {"type": "text"}) for n in range(8)]
        answers = list(asking.generate(rows))
        with pytest.raises(EngineFault) as fault:
            list(engine_of("recorded", urls=one.url, **ENGINE).generate(rows))

    told_all = f"{answers!r} {vars(asking)!r} {caplog.text} {fault.value!r}"
    assert KEY[:20] not in told_all
    assert "no Bearer [key]" in told_all


def test_a_placeholder_that_is_no_secret_does_not_eat_words_of_answers(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    with serve(lambda call: JSONResponse(completion(call.prompt, text="an EMPTY room"))) as one:
        asking = engine_of("recorded", urls=one.url)
        (answer,) = asking.generate([Request("k", ({"role": "user", "content": "what"},), {}, {"type": "text"})])

    assert answer.text == "an EMPTY room"
