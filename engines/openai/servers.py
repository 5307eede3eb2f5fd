"""The servers: who gets the next row, who rests, who is out, and when there is nobody left."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from engines.openai.messages import Again
from engines.openai.options import OpenAIOptions
from engines.protocol import EngineFault

LOG = logging.getLogger(__name__)
LONGEST_PAUSE = 30.0
"""Seconds between two probes at most."""
TICK = 0.05
"""Seconds by which a limit is checked too late rather than too early."""
LESS = 0.7
"""What a busy server's room shrinks by; each answer widens it again, by one after as many answers as fit in it."""
FIX = "see that the servers run, and that engine.options.urls, engine.model and the key are right"
KEPT = "what was answered is kept, the same command goes on from there"


@dataclass
class Server:
    """One server, as this run has come to know it."""

    url: str
    """Base address."""
    concurrency: int
    """Rows it works on at once at most."""
    weight: float
    """Its share of the work."""
    room: float
    """Rows it may work on at once now."""
    running: int = 0
    """Rows it works on."""
    failures: int = 0
    """Failures since its last answer."""
    resting: bool = False
    """Its circuit breaker is open: it gets no rows."""
    down_since: float | None = None
    """When the breaker opened, by the loop's clock, as long as it has not answered a row since."""
    rest_until: float = 0.0
    """When it wants to be asked again."""
    last_words: str = ""
    """Its last failure."""
    barred: dict[str, str] = field(default_factory=dict)
    """Model -> its words on why it will not answer for it."""


class Servers:
    """Lends servers to rows. All of it runs in one event loop.

    Args:
        options: Of the engine.
        probe: Asks a server whether it is there.
        give_up: Told once when no server is left.
    """

    def __init__(
        self,
        options: OpenAIOptions,
        probe: Callable[[str], Awaitable[bool]],
        give_up: Callable[[EngineFault], None],
    ) -> None:
        self._options, self._probe, self._give_up = options, probe, give_up
        counts = [(server, server.concurrency or options.concurrency) for server in options.urls]
        self.all = [Server(server.url, count, server.weight, float(count)) for server, count in counts]
        self._changed = asyncio.Event()
        self._probes: set[asyncio.Task[None]] = set()

    async def take(self, model: str, tried: Mapping[str, float]) -> Server:
        """Wait for a server with room.

        Args:
            model: Name of the model or the adapter.
            tried: Address -> when the row may come back, of the servers that have failed it; others come first.
        """
        while True:
            now = self._now()
            free = [s for s in self.all if self._open_to(s, model) and s.running < int(s.room)]
            ready = [s for s in free if tried.get(s.url, 0.0) <= now]
            if ready:
                server = min(ready, key=lambda s: (s.url in tried, (s.running + 1) / s.weight))
                server.running += 1
                return server
            self._changed.clear()
            soonest = min((tried[s.url] for s in free), default=None)
            try:
                async with asyncio.timeout_at(soonest):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def give_back(self, server: Server) -> None:
        """A row has left the server."""
        server.running -= 1
        self._changed.set()

    def answered(self, server: Server) -> None:
        """A server has answered a row, if only by an error of that row alone."""
        if server.down_since is not None:
            LOG.warning("%s answers again", server.url)
        server.failures, server.down_since = 0, None
        server.room = min(server.room + 1 / server.room, float(server.concurrency))

    def failed(self, server: Server, failure: Again) -> None:
        """A server has failed a row."""
        server.last_words = str(failure)
        wait = min(failure.after, self._options.give_up_after)
        server.rest_until = max(server.rest_until, self._now() + wait)
        if failure.busy:
            server.room = max(server.room * LESS, 1.0)
        server.failures += 1
        if server.failures >= self._options.open_after and not server.resting:
            self._rest(server)

    def bar(self, server: Server, model: str, words: str) -> None:
        """A server will not answer for a model."""
        if model in server.barred:
            return
        server.barred[model] = words
        LOG.warning("%s will not answer for %s (%s); its rows go to the others", server.url, model, words)
        self._see_who_is_left()

    async def close(self) -> None:
        """End all probes."""
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)

    def _open_to(self, server: Server, model: str) -> bool:
        return not server.resting and model not in server.barred

    def _rest(self, server: Server) -> None:
        server.resting = True
        if server.down_since is None:
            LOG.warning("%s fails (%s); its rows go to the others", server.url, server.last_words)
            server.down_since = self._now()
            asyncio.get_running_loop().call_later(self._options.give_up_after + TICK, self._see_who_is_left)
        probe = asyncio.create_task(self._wake(server))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    async def _wake(self, server: Server) -> None:
        """Probe a resting server until it is there; then rows come again, and one answer makes it sound."""
        pause = self._options.probe_after
        while True:
            await asyncio.sleep(max(pause, server.rest_until - self._now()))
            if await self._probe(server.url):
                break
            pause = min(2 * pause, LONGEST_PAUSE)
        server.resting, server.failures = False, 0
        self._changed.set()

    def _see_who_is_left(self) -> None:
        """Give up when every server will not answer, or has been down for too long."""
        long_ago = self._now() - self._options.give_up_after
        for model in {model for server in self.all for model in server.barred} or {""}:
            words = [s.barred.get(model) or _down(s, long_ago) for s in self.all]
            if all(words):
                what = f"for the model '{model}'" if model else f"for {self._options.give_up_after:g} seconds now"
                told = "\n".join(f"  {s.url}: {said}" for s, said in zip(self.all, words, strict=True))
                return self._give_up(EngineFault(f"no server answers {what}\n{told}\n  {FIX}\n  {KEPT}"))
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _down(server: Server, long_ago: float) -> str | None:
    """Last words of a server that has been down since long ago."""
    return server.last_words if server.down_since is not None and server.down_since <= long_ago else None
