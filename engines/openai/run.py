"""Run requests against the servers: rows go in, answers come out as they finish, all in a separate thread.

The caller's thread makes requests and uses answers; this thread only talks HTTP to the servers, so that a commit to the
store never makes a connection time out. A session lasts one run; the key is only in its headers.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic import SecretStr
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from engines.openai.options import OpenAIOptions
from engines.openai.reply import Again, Barred, Reply, Spent, added, with_spent
from engines.openai.same_model import same_model
from engines.openai.servers import Servers
from engines.protocol import KEPT, EngineFault
from engines.request import Answer, Request

LOG = logging.getLogger(__name__)
CONNECT_SECONDS = 10.0
"""Maximum seconds to open a connection."""
SECRET_LENGTH = 8
"""Shorter keys are placeholders such as `EMPTY`, which answers may contain as words."""


class Http:
    """Posts to servers and returns their replies; create it with `connect`.

    Args:
        session: An aiohttp session with the key in its headers.
        options: Options of the engine.
        key: The key, to remove from every reply.
    """

    def __init__(self, session: aiohttp.ClientSession, options: OpenAIOptions, key: str) -> None:
        self._session, self._timeout = session, options.timeout
        self._proxies = {server.url: _proxy(server.url) for server in options.urls}
        self._hidden = key.encode() if len(key) >= SECRET_LENGTH else b""

    async def post(self, url: str, path: str, body: Mapping[str, Any]) -> Reply:
        """Make one call.

        Args:
            url: Base address of the server.
            path: Path of the call, such as `/chat/completions`.
            body: Content to send as JSON.

        Raises:
            Again: There was no complete reply: `timeout`, `connection`, or `garbage` if it is not HTTP.
        """
        sent = json.dumps(body).encode()
        try:
            # Redirects are not followed: they would send the key to their target.
            async with self._session.post(
                url + path, data=sent, proxy=self._proxies[url], allow_redirects=False
            ) as response:
                return self._reply(response, await response.read())
        except TimeoutError as error:
            kind = "connection" if isinstance(error, aiohttp.ConnectionTimeoutError) else "timeout"
            raise Again(kind, f"no reply within {self._timeout:g} seconds") from None
        except aiohttp.ClientResponseError:
            raise Again("garbage", "the reply is no HTTP") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Again("connection", self._without_key(f"{type(error).__name__}: {error}".encode()).decode()) from None

    async def there(self, url: str) -> bool:
        """Return whether a server is up; any reply except a server error counts."""
        try:
            async with self._session.get(
                url + "/models", proxy=self._proxies[url], allow_redirects=False, timeout=_PROBE
            ) as response:
                return response.status < 500
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    def _reply(self, response: aiohttp.ClientResponse, body: bytes) -> Reply:
        return Reply(response.status, dict(response.headers), self._without_key(body))

    def _without_key(self, text: bytes) -> bytes:
        """Remove the key from a reply: some servers echo the headers of a request that they refuse."""
        return text.replace(self._hidden, b"[key]") if self._hidden else text


@asynccontextmanager
async def connect(options: OpenAIOptions, key: SecretStr | None) -> AsyncIterator[Http]:
    """Open a session in the running event loop.

    It uses aiohttp, not httpx or the openai package, because a request costs a fifth to a tenth of their CPU time
    (docs/decisions.md); what those would add (retries, typed answers) is done here by our own rules.

    Args:
        options: Options of the engine.
        key: Key for the servers.
    """
    bare = key.get_secret_value() if key else ""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # `Servers` limits the number
        timeout=aiohttp.ClientTimeout(total=options.timeout, sock_connect=min(CONNECT_SECONDS, options.timeout)),
        headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bare}"} if bare else {}),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Http(session, options, bare)


_PROBE = aiohttp.ClientTimeout(total=CONNECT_SECONDS)


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment sets for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


LAST_SECONDS = 30.0
"""Seconds that rows in flight get to finish when the run stops."""
OTHER_MODEL = "correct engine.model, or set engine.options.other_model: warn to keep such answers"


class _Stopped(Exception):
    """The run stops; the row has no answer and no error."""


@dataclass
class Tries:
    """What the attempts of one row have left."""

    again_at: dict[str, float] = field(default_factory=dict)
    """Address of a server that was asked in vain -> when to ask it again."""
    spent: Spent = (0, 0, 0)
    """Tokens of the replies that were thrown away."""


class Run:
    """Answers requests; create it with `running`.

    Args:
        options: Options of the engine.
        key: Key for the servers.
        model: Name of the model on the servers.
        call: Makes one attempt: calls the server at an address, through the session.
    """

    def __init__(self, options: OpenAIOptions, key: SecretStr | None, model: str, call: "Call") -> None:
        self._options, self._key, self._model, self._call = options, key, model, call
        self._finished: SimpleQueue[Answer | Exception] = SimpleQueue()
        self._thread = threading.Thread(target=self._in_thread, name="openai engine", daemon=True)
        self._ready, self._left = threading.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fault: EngineFault | None = None
        self._rows: set[asyncio.Task[None]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._others: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Stop all rows, close all connections and end the thread."""
        self._in_loop(self._left.set)
        self._thread.join()

    def ask(self, request: Request) -> None:
        """Start a row."""
        self._in_loop(self._begin, request)

    def _in_loop(self, what: Callable[..., None], *arguments: Request) -> None:
        self._ready.wait()
        with suppress(RuntimeError):  # the loop has ended with its own fault, which `answer` raises
            if self._loop is not None:
                self._loop.call_soon_threadsafe(what, *arguments)

    def answer(self) -> Answer:
        """Wait for the next finished row.

        Raises:
            EngineFault: No server answers any more.
        """
        finished = self._finished.get()
        if isinstance(finished, Exception):
            raise finished
        return finished

    def _in_thread(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._finished.put(error)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with connect(self._options, self._key) as self._http:
            self._servers = Servers(self._options, self._http.there, self._give_up)
            self._ready.set()
            await self._left.wait()
            await self._servers.close()
            for row in self._rows:
                row.cancel()
            await asyncio.gather(*self._rows, return_exceptions=True)

    def _begin(self, request: Request) -> None:
        if self._fault is None:
            row = asyncio.create_task(self._row(request))
            self._rows.add(row)
            row.add_done_callback(self._rows.discard)

    async def _row(self, request: Request) -> None:
        """Process one row until its answer or its error."""
        tries, options = Tries(), self._options
        attempts = AsyncRetrying(
            stop=stop_after_attempt(options.attempts),
            wait=wait_random_exponential(multiplier=options.backoff, max=options.longest_backoff),
            retry=retry_if_exception(lambda error: isinstance(error, Again) and self._fault is None),
            reraise=True,
        )
        try:
            answer = await attempts(self._attempt, request, tries)
        except _Stopped:
            return
        except Again as failure:
            if self._fault is not None:
                return  # not tried often enough to become an error row
            detail = f"after {options.attempts} attempts: {failure.detail}"
            answer = Answer(request.key, None, failure.kind, detail)
        except Exception as error:  # not a fault of a server: raised in the caller's thread
            self._finished.put(error)
            return
        if self._accepts(answer, request):
            self._finished.put(with_spent(answer, tries.spent))

    async def _attempt(self, request: Request, tries: "Tries") -> Answer:
        """Ask one server once; meeting one that is barred or asks to slow down does not count as an attempt."""
        model = self._asked(request)
        row, now = asyncio.current_task(), asyncio.get_running_loop().time
        assert row is not None
        while self._fault is None:
            server = await self._servers.take(model, tries.again_at)
            self._asking.add(row)
            begun = now()
            try:
                answer = await self._call(self._http, server.url, request)
                self._servers.answered(server, now() - begun, error=answer.error is not None)
                return answer
            except Barred as barred:
                self._servers.bar(server, model, str(barred))
            except Again as failure:
                tries.spent = added(tries.spent, failure.spent)
                wait = min(failure.after, self._options.give_up_after)
                tries.again_at[server.url] = now() + wait
                if not failure.slow_down:
                    self._servers.failed(server, failure)
                    raise
                self._servers.slow_down(server, failure)
            finally:
                self._asking.discard(row)
                self._servers.give_back(server)
        raise _Stopped

    def _asked(self, request: Request) -> str:
        return request.adapter.name if request.adapter else self._model

    def _accepts(self, answer: Answer, request: Request) -> bool:
        """Return whether the model that answered will do; warn once, or stop the run, if it is another one."""
        asked, said = self._asked(request), answer.answered_by
        if not said or (asked, said) in self._others or same_model(asked, said):
            return True
        if self._options.other_model == "error":
            words = f"'{said}' answers instead of '{asked}', so the answers are not those of engine.model"
            self._give_up(EngineFault(f"{words}\n  {OTHER_MODEL}\n  {KEPT}"))
            return False
        self._others.add((asked, said))
        LOG.warning("'%s' answers instead of '%s'; each answer says so (answered_by)", said, asked)
        return True

    def _give_up(self, fault: EngineFault) -> None:
        if self._fault is None:
            self._fault = fault
            self._end = asyncio.create_task(self._break_off(fault))

    async def _break_off(self, fault: EngineFault) -> None:
        """Let rows in flight finish, because they may cost money; stop the others at once."""
        for row in self._rows - self._asking:
            row.cancel()
        if self._asking:
            await asyncio.wait(set(self._asking), timeout=LAST_SECONDS)
        self._finished.put(fault)


@contextmanager
def running(options: OpenAIOptions, key: SecretStr | None, model: str, call: "Call") -> Iterator[Run]:
    """Run against the servers; leave no row, connection or thread behind, however it ends.

    Args:
        options: Options of the engine.
        key: Key for the servers.
        model: Name of the model on the servers.
        call: Makes one attempt at the server at an address.
    """
    run = Run(options, key, model, call)
    run.begin()
    try:
        yield run
    finally:
        run.end()


Call = Callable[[Http, str, Request], Awaitable[Answer]]
"""One attempt at one server; raises `Again` or `Barred`."""
