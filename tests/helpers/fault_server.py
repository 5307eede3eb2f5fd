"""A real OpenAI-compatible server for tests: its answer is a function of the prompt, and it fails as it is told to.

In the test's process: `with serve(behave) as server`, where `behave` decides what becomes of each call.
As a process of its own, which can be killed: `python fault_server.py --seed 1 --log calls.txt`; it prints its port.
"""

import argparse
import asyncio
import hashlib
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

RATES = {
    "retry_later": 0.01,
    "busy": 0.03,
    "error_500": 0.04,
    "slow": 0.03,
    "hang": 0.002,
    "cut": 0.03,
    "garbage": 0.03,
    "truncated_utf8": 0.03,
}
"""How often each fault is injected by the seeded plan."""


@dataclass(frozen=True)
class Call:
    """One request as the server saw it."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    count: int
    """How often this prompt has been asked here before."""

    @property
    def prompt(self) -> str:
        return self.body["messages"][-1]["content"] if "messages" in self.body else str(self.body.get("prompt"))


Behave = Callable[[Call], "Response | str"]
"""Decides on a call: a response of one's own, or the name of one of `FAULTS`."""


def answer_of(prompt: str) -> str:
    """What the server says to a prompt."""
    return f"réponse {hashlib.sha256(prompt.encode()).hexdigest()[:24]}"


def usage_of(prompt: str) -> dict[str, Any]:
    """What the server says a call took: words in, two words out, one word cached."""
    return {
        "prompt_tokens": len(prompt.split()),
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1},
    }


def completion(prompt: str, text: str | None = None, **changes: Any) -> dict[str, Any]:
    """The body of a good answer; `changes` are made to its choice."""
    message = {"role": "assistant", "content": answer_of(prompt) if text is None else text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **changes}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage_of(prompt)}


def told(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> Response:
    """An error as OpenAI-compatible servers word it."""
    error = {"message": message, "type": "error", "code": code}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


async def cut_off(body: bytes) -> AsyncIterator[bytes]:
    yield body[: len(body) // 2]
    await asyncio.sleep(0)
    raise ConnectionResetError("cut in the middle of the body, as the test wants it")


async def respond(name: str, prompt: str) -> Response:
    """Do what the name of a fault says."""
    good = json.dumps(completion(prompt), ensure_ascii=False).encode()
    if name == "slow":
        await asyncio.sleep(0.2)
    if name == "hang":
        await asyncio.sleep(3600)
    return {
        "retry_later": lambda: told(429, "too many requests", headers={"Retry-After": "1"}),
        "busy": lambda: told(429, "too many requests"),
        "error_500": lambda: Response("Internal Server Error", 500),
        "cut": lambda: StreamingResponse(cut_off(good), headers={"Content-Length": str(len(good))}),
        "garbage": lambda: Response(b'{"choices": [{"message"', media_type="application/json"),
        "truncated_utf8": lambda: Response(good[: good.index("é".encode()) + 1], media_type="application/json"),
    }.get(name, lambda: Response(good, media_type="application/json"))()


@dataclass
class Seen:
    """What a server has been asked."""

    calls: list[Call] = field(default_factory=list)
    prompts: Counter[str] = field(default_factory=Counter)
    running: int = 0
    most_running: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, number: int) -> None:
        """Wait until so many calls have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.calls) >= number, timeout=60)


def application(behave: Behave, seen: Seen, models: Callable[[], Response] | None = None) -> Starlette:
    """The server itself."""

    async def complete(request: Request) -> Response:
        body = json.loads(await request.body())
        call = Call(request.url.path, body, dict(request.headers), 0)
        call = Call(call.path, call.body, call.headers, seen.prompts[call.prompt])
        seen.prompts[call.prompt] += 1
        seen.running += 1
        seen.most_running = max(seen.most_running, seen.running)
        with seen.changed:
            seen.calls.append(call)
            seen.changed.notify_all()
        try:
            decided = behave(call)
            return await respond(decided, call.prompt) if isinstance(decided, str) else decided
        finally:
            seen.running -= 1

    async def list_models(request: Request) -> Response:
        return models() if models else JSONResponse({"object": "list", "data": [{"id": "tiny"}]})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/completions", complete, methods=["POST"]),
            Route("/v1/models", list_models),
        ]
    )


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    seen: Seen


@contextmanager
def serve(behave: Behave, models: Callable[[], Response] | None = None, port: int = 0) -> Iterator[Served]:
    """Run a server in a thread of the test's own process."""
    seen = Seen()
    listening = listen(port)
    server = uvicorn.Server(settings(application(behave, seen, models)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", seen)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listening.close()


def listen(port: int = 0) -> socket.socket:
    """A socket that takes connections from now on, on a port that is free."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(512)
    return listening


def settings(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(app, log_config=None, log_level="critical", lifespan="off", access_log=False)


def seeded(seed: int, rates: Mapping[str, float]) -> Behave:
    """Choose a fault by seed, prompt and how often it was asked; `always:NAME` in a prompt is stronger."""

    def behave(call: Call) -> str:
        if "always:" in call.prompt:
            return call.prompt.split("always:")[1].split()[0]
        place = random.Random(f"{seed} {call.prompt} {call.count}").random()
        for name, rate in rates.items():
            if place < rate:
                return name
            place -= rate
        return "good"

    return behave


def main() -> None:
    """Run as a process of its own until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rates", type=json.loads, default=RATES)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    decide = seeded(arguments.seed, arguments.rates)

    def behave(call: Call) -> Response | str:
        decided = decide(call)
        if arguments.log:
            with arguments.log.open("a") as file:
                file.write(f"{decided}\n")
        return decided

    listening = listen()
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(settings(application(behave, Seen()))).run(sockets=[listening])


if __name__ == "__main__":
    main()
