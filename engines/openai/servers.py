"""Choose the server for each row, pause failing servers, and stop when none is left.

Rows wait in one queue, and whoever has room takes the next: when all servers are full, each gets what it can answer. Of
several with room, a row goes to the one with the shortest expected wait: measured seconds per row times rows in flight.
A row's error is no answer: it keeps its place as long as an answer takes, or a server that fails fast would take nearly
all rows.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from engines.openai.options import OpenAIOptions
from engines.openai.reply import Again
from engines.protocol import KEPT, EngineFault

LOG = logging.getLogger(__name__)
LONGEST_PAUSE = 30.0
"""Maximum seconds between two probes."""
TICK = 0.05
"""Seconds added so that a limit is checked late rather than early."""
LESS = 0.7
"""Factor by which a busy server's capacity shrinks; it grows by one again after as many answers as fit in it."""
FIRST_PAUSE = 1 / 16
"""Part of `backoff` that a server pauses when it first asks to slow down."""
FASTER = 0.25
"""So a server whose rate is limited settles at about four answers for each time that it asks to slow down."""
NEWEST = 0.1
"""Weight of the newest row in a server's measured seconds per row."""
FIX = "check that the servers run, and that engine.options.urls, engine.model and the key are right"


@dataclass
class Server:
    """The state of one server during a run."""

    url: str
    """Base address."""
    concurrency: int
    """Maximum rows in flight."""
    weight: float
    """Factor of its share of the work."""
    room: float
    """Current limit of rows in flight."""
    running: int = 0
    """Rows in flight."""
    seconds: float | None = None
    """Measured seconds per answer, an exponential average; None until it has answered a row."""
    failures: int = 0
    """Failures since its last answer."""
    resting: bool = False
    """Its circuit breaker is open: it gets no rows."""
    down_since: float | None = None
    """When the breaker opened, by the loop's clock; None once it has answered a row."""
    rest_until: float = 0.0
    """Time until which it asked to wait."""
    slow_since: float | None = None
    """When it asked to slow down, by the loop's clock; None once it has answered a row."""
    slower: float = 0.0
    """How often its pause is doubled: one more after each pause, `FASTER` less after each answer."""
    pause_until: float = 0.0
    """Time until which it gets no rows, because it asked to slow down."""
    last_words: str = ""
    """Its last failure."""
    barred: dict[str, str] = field(default_factory=dict)
    """Model -> why the server will not answer for it."""


class Servers:
    """Assigns servers to rows, all in one event loop.

    Args:
        options: Options of the engine.
        probe: Checks whether a server is up.
        give_up: Called once when no server is left.
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
        """Wait for a server with free capacity.

        Args:
            model: Name of the model or the adapter.
            tried: Address of a server that failed this row -> when to try it again; other servers come first.
        """
        while True:
            now = self._now()
            free = [s for s in self.all if self._open_to(s, model) and s.running < int(s.room)]
            begin = {s.url: max(tried.get(s.url, 0.0), s.pause_until) for s in free}
            ready = [s for s in free if begin[s.url] <= now]
            if ready:
                server = min(ready, key=lambda s: (s.url in tried, self._wait(s)))
                server.running += 1
                return server
            self._changed.clear()
            soonest = min(begin.values(), default=None)
            try:
                async with asyncio.timeout_at(soonest):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def give_back(self, server: Server) -> None:
        """Release the server after a row."""
        server.running -= 1
        self._changed.set()

    def _wait(self, server: Server) -> float:
        """Return the expected wait at a server; one that is not measured counts as being as fast as the fastest."""
        return (server.running + 1) * self._seconds(server) / server.weight

    def _seconds(self, server: Server) -> float:
        fastest = min((s.seconds for s in self.all if s.seconds is not None), default=1.0)
        return fastest if server.seconds is None else server.seconds

    def answered(self, server: Server, seconds: float, *, error: bool = False) -> None:
        """Record that a server answered a row.

        Args:
            server: The server.
            seconds: How long it took.
            error: Whether it answered with an error of that row.
        """
        if error:
            self._keep_place(server, self._seconds(server) - seconds)
        else:
            server.seconds = seconds if server.seconds is None else server.seconds + NEWEST * (seconds - server.seconds)
        if server.down_since is not None:
            LOG.warning("%s answers again", server.url)
        server.failures, server.down_since = 0, None
        server.slower, server.slow_since = max(server.slower - FASTER, 0.0), None
        server.room = min(server.room + 1 / server.room, float(server.concurrency))

    def _keep_place(self, server: Server, seconds: float) -> None:
        """Keep a place of a server for some seconds after a row."""
        if seconds > 0 and len(self.all) > 1:
            server.running += 1
            asyncio.get_running_loop().call_later(seconds, self.give_back, server)

    def failed(self, server: Server, failure: Again) -> None:
        """Record that a server failed on a row."""
        server.last_words = str(failure)
        wait = min(failure.after, self._options.give_up_after)
        server.rest_until = max(server.rest_until, self._now() + wait)
        server.failures += 1
        if server.failures >= self._options.open_after and not server.resting:
            self._rest(server)

    def slow_down(self, server: Server, words: Again) -> None:
        """Record that a server asked to be asked less: it pauses and gets less at once; that is no failure."""
        now, options = self._now(), self._options
        server.last_words = str(words)
        server.rest_until = max(server.rest_until, now + min(words.after, options.give_up_after))
        server.room = max(server.room * LESS, 1.0)
        if now >= server.pause_until:  # rows that were under way when it asked are not counted again
            longest = min(options.backoff * FIRST_PAUSE * 2**server.slower, options.longest_backoff)
            server.pause_until = now + longest * random.uniform(0.5, 1.0)
            server.slower += 1
        if server.slow_since is None:
            server.slow_since = now
            asyncio.get_running_loop().call_later(options.give_up_after + TICK, self._see_who_is_left)
        elif server.slow_since <= now - options.give_up_after:
            self._see_who_is_left()

    def bar(self, server: Server, model: str, words: str) -> None:
        """Record that a server will not answer for a model."""
        if model in server.barred:
            return
        server.barred[model] = words
        LOG.warning("%s will not answer for %s (%s); its rows go to the others", server.url, model, words)
        self._see_who_is_left()

    async def close(self) -> None:
        """Cancel all probes."""
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
        """Probe a resting server until it is up; then it gets rows again, and one answer resets it."""
        pause = self._options.probe_after
        while True:
            await asyncio.sleep(max(pause, server.rest_until - self._now()))
            if await self._probe(server.url):
                break
            pause = min(2 * pause, LONGEST_PAUSE)
        server.resting, server.failures = False, 0
        self._changed.set()

    def _see_who_is_left(self) -> None:
        """Give up if every server refuses to answer or has been down for too long."""
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
    """Return the last words of a server that has failed or asked to slow down since `long_ago` or earlier."""
    since = [moment for moment in (server.down_since, server.slow_since) if moment is not None]
    return server.last_words if since and min(since) <= long_ago else None
