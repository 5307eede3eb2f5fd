"""Who gets the next row: by weight and room, never a server that rests, and the one that has not failed the row first."""

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engines.openai.options import OpenAIOptions
from engines.openai.reply import Again
from engines.openai.servers import Server, Servers
from engines.protocol import EngineFault

FAILURE = Again("http_500", "Internal Server Error")
SLOW = Again("http_429", "slow down", slow_down=True)
A, B = "http://a/v1", "http://b/v1"


class Told(list[EngineFault]):
    """Faults that the servers gave up with."""


class Clock(selectors.DefaultSelector):
    """Time that passes only while everything waits: a busy machine changes nothing, and no test waits for real."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0.0)


def run_without_waiting(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario to its end in an event loop that has such a clock."""
    clock = Clock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario)


def with_servers(urls: list, scenario: Callable[[Servers, Told], Coroutine[Any, Any, None]], **given: Any) -> None:
    """Run a scenario in an event loop; whether a server answers a probe is what `alive` says."""

    async def run() -> None:
        told, alive = Told(), given.pop("alive", True)
        options = OpenAIOptions.model_validate({"urls": urls, "probe_after": 0.01, **given})

        async def probe(url: str) -> bool:
            return alive() if callable(alive) else alive

        servers = Servers(options, probe, told.append)
        try:
            await asyncio.wait_for(scenario(servers, told), 30)
        finally:
            await servers.close()

    run_without_waiting(run())


async def take(servers: Servers, count: int) -> Counter[str]:
    return Counter([(await servers.take("m", {})).url for _ in range(count)])


@pytest.mark.parametrize(("weights", "shares"), [((1, 1), (6, 6)), ((1, 3), (3, 9)), ((5, 1), (10, 2))])
def test_rows_are_shared_by_weight(weights, shares):
    urls = [{"url": A, "weight": weights[0]}, {"url": B, "weight": weights[1]}]

    async def scenario(servers: Servers, told: Told) -> None:
        assert await take(servers, 12) == {A: shares[0], B: shares[1]}

    with_servers(urls, scenario)


def test_of_servers_with_room_the_next_row_goes_to_the_shortest_wait_by_measured_seconds():
    async def scenario(servers: Servers, told: Told) -> None:
        assert await take(servers, 2) == {A: 1, B: 1}
        servers.answered(servers.all[0], 1.0)
        assert await take(servers, 2) == {A: 1, B: 1}  # B is not measured yet and counts as equally fast
        servers.answered(servers.all[1], 3.0)
        for server in servers.all:
            server.running = 0
        assert await take(servers, 12) == {A: 9, B: 3}  # 9 rows of 1 second, 3 rows of 3 seconds
        for _ in range(60):
            servers.answered(servers.all[0], 3.0)
        assert servers.all[0].seconds == pytest.approx(3 - 2 * 0.9**60)  # it became slower
        assert await take(servers, 6) == {B: 6}

    with_servers([A, B], scenario)


def test_a_server_that_fails_fast_takes_no_more_rows_than_one_that_answers():
    async def scenario(servers: Servers, told: Told) -> None:
        left, rows = 400, Counter[str]()

        async def work() -> None:
            nonlocal left
            while left:
                left -= 1
                server = await servers.take("m", {})
                refuses = server.url == B
                seconds = 0.01 if refuses else 0.5
                await asyncio.sleep(seconds)
                servers.answered(server, seconds, error=refuses)
                servers.give_back(server)
                rows[server.url] += 1

        await asyncio.gather(*(work() for _ in range(16)))
        assert servers.all[1].seconds is None  # an error is no speed
        assert rows[B] <= 200  # they have the same places, and an error keeps its own as long

    with_servers([A, B], scenario, concurrency=8)


def test_a_full_server_takes_no_more_until_one_comes_back():
    async def scenario(servers: Servers, told: Told) -> None:
        taken = await take(servers, 5)
        waiting = asyncio.create_task(servers.take("m", {}))
        await asyncio.sleep(0.05)
        assert (taken, waiting.done()) == ({A: 2, B: 3}, False)
        servers.give_back(servers.all[0])
        assert (await waiting).url == A

    with_servers([{"url": A, "concurrency": 2}, {"url": B, "concurrency": 3, "weight": 9}], scenario)


def test_a_row_goes_first_to_servers_that_have_not_failed_it():
    async def scenario(servers: Servers, told: Told) -> None:
        urls = [(await servers.take("m", {A: 0.0})).url for _ in range(3)]
        assert urls == [B, B, A]  # B has room for two
        again = asyncio.get_running_loop().time() + 0.05
        assert (await servers.take("m", {A: again})).url == A
        assert asyncio.get_running_loop().time() >= again

    with_servers([A, {"url": B, "concurrency": 2}], scenario)


def test_only_failures_in_a_row_open_the_breaker_and_a_probe_closes_it():
    async def scenario(servers: Servers, told: Told) -> None:
        server = servers.all[0]
        for _ in range(5):
            servers.failed(server, FAILURE)
            servers.failed(server, FAILURE)
            servers.answered(server, 1.0)
        assert not server.resting
        for _ in range(3):
            servers.failed(server, FAILURE)
        assert server.resting
        assert (await take(servers, 4)) == {B: 4}
        alive.append(True)
        while server.resting:
            await asyncio.sleep(0.01)
        assert server.down_since is not None  # it is there, but has answered no row yet
        servers.answered(server, 1.0)
        assert (server.down_since, told) == (None, [])

    alive: list[bool] = []
    with_servers([A, B], scenario, open_after=3, alive=lambda: bool(alive))


def test_a_server_that_asks_to_wait_is_not_even_probed_before():
    async def scenario(servers: Servers, told: Told) -> None:
        begun = asyncio.get_running_loop().time()
        for _ in range(2):
            servers.failed(servers.all[0], Again("http_503", "starting", 0.5))
        assert (await servers.take("m", {})).url == A
        assert asyncio.get_running_loop().time() - begun >= 0.5

    with_servers([A], scenario, open_after=2)


def test_a_busy_server_gets_less_at_once_and_each_answer_gives_some_of_it_back():
    async def scenario(servers: Servers, told: Told) -> None:
        server = servers.all[0]
        servers.slow_down(server, SLOW)
        servers.slow_down(server, SLOW)
        assert server.room == pytest.approx(10 * 0.7 * 0.7)  # 4.9
        servers.answered(server, 1.0)
        assert server.room == pytest.approx(4.9 + 1 / 4.9)
        for _ in range(99):
            servers.answered(server, 1.0)
        assert server.room == 10
        for _ in range(99):
            servers.slow_down(server, SLOW)
        assert server.room == 1

    with_servers([A], scenario, concurrency=10)


def test_a_server_that_asks_to_slow_down_pauses_longer_each_time_and_never_counts_as_failing():
    async def scenario(servers: Servers, told: Told) -> None:
        server, now = servers.all[0], asyncio.get_running_loop().time
        pauses = []
        for _ in range(4):
            servers.slow_down(server, SLOW)
            servers.slow_down(server, SLOW)  # was under way when the first asked: not counted again
            pauses.append(server.pause_until - now())
            assert (await servers.take("m", {})).url == A
            assert now() >= server.pause_until
            servers.give_back(server)
        assert [0.5 * 0.02 * 2**n < pause <= 0.02 * 2**n for n, pause in enumerate(pauses)] == [True] * 4
        assert (server.failures, server.resting, server.slower) == (0, False, 4)
        for _ in range(4):
            servers.answered(server, 1.0)
        assert (server.slower, server.slow_since) == (3, None)  # four answers take back one doubling

    with_servers([A], scenario, open_after=1, backoff=0.32)  # a sixteenth at first: 0.02


def test_servers_that_only_ask_to_slow_down_are_given_up_when_none_answers_for_long():
    async def scenario(servers: Servers, told: Told) -> None:
        servers.slow_down(servers.all[0], SLOW)
        servers.slow_down(servers.all[1], SLOW)
        servers.answered(servers.all[1], 1.0)
        await asyncio.sleep(0.3)
        assert told == []  # one of them answers
        servers.slow_down(servers.all[1], SLOW)
        assert "http://a/v1: http_429: slow down\n" in await until_told(told)

    with_servers([A, B], scenario, give_up_after=0.2, backoff=0.01)


async def until_told(told: Told) -> str:
    while not told:
        await asyncio.sleep(0.01)
    return str(told[0])


def test_the_run_is_given_up_only_when_no_server_has_answered_for_long():
    async def scenario(servers: Servers, told: Told) -> None:
        one, other = servers.all
        servers.failed(one, FAILURE)
        await asyncio.sleep(0.4)
        assert told == []  # the other is well
        servers.failed(other, Again("connection", "refused"))
        assert await until_told(told) == (
            "no server answers for 0.2 seconds now\n"
            "  http://a/v1: http_500: Internal Server Error\n"
            "  http://b/v1: connection: refused\n"
            "  check that the servers run, and that engine.options.urls, engine.model and the key are right\n"
            "  the answers so far are kept; run the same command again to continue"
        )

    with_servers([A, B], scenario, open_after=1, give_up_after=0.2, alive=False)


def test_a_server_that_will_not_answer_for_one_model_still_answers_for_another():
    def bar(server: Server, servers: Servers, model: str) -> None:
        servers.bar(server, model, "HTTP 404: no such model")

    async def scenario(servers: Servers, told: Told) -> None:
        one, other = servers.all
        bar(one, servers, "adapter")
        assert (await servers.take("adapter", {})).url == B
        servers.failed(other, FAILURE)
        await asyncio.sleep(0.02)
        assert (await servers.take("base", {})).url == A
        assert told == []
        bar(other, servers, "adapter")
        assert (await until_told(told)).startswith("no server answers for the model 'adapter'\n  http://a/v1: HTTP 404")

    with_servers([A, B], scenario)


def test_a_server_that_is_dead_and_one_that_will_not_answer_are_nobody_left():
    async def scenario(servers: Servers, told: Told) -> None:
        servers.bar(servers.all[0], "m", "HTTP 401: wrong key")
        servers.failed(servers.all[1], FAILURE)
        words = await until_told(told)
        assert "HTTP 401: wrong key" in words
        assert "http_500" in words

    with_servers([A, B], scenario, open_after=1, give_up_after=0.1, alive=False)


def test_a_server_that_once_asked_for_a_very_long_wait_is_not_lost_for_the_run():
    async def scenario(servers: Servers, told: Told) -> None:
        servers.slow_down(servers.all[0], Again("http_429", "tomorrow", 86_400, slow_down=True))
        servers.answered(servers.all[0], 1.0)
        await asyncio.sleep(0.3)
        servers.failed(servers.all[0], FAILURE)
        servers.failed(servers.all[0], FAILURE)
        assert servers.all[0].resting
        assert (await servers.take("m", {})).url == A

    with_servers([A], scenario, open_after=2, give_up_after=0.2)
