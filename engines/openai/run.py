"""One run against the servers: rows go in, answers come out as they finish, all of it in a thread of its own.

The caller's thread takes requests and uses answers; the thread here does nothing but talk HTTP to the servers, so that
a commit to the store never lets a connection time out. A session lasts a run; the key is in its headers and nowhere
else.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic import SecretStr
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from engines.openai.messages import Again, Barred, Reply
from engines.openai.options import OpenAIOptions
from engines.openai.servers import KEPT, Servers
from engines.protocol import EngineFault
from engines.request import Answer, Request

CONNECT_SECONDS = 10.0
"""For a connection to come about at most."""
SECRET_LENGTH = 8
"""Shorter keys are placeholders such as `EMPTY`, and words that answers may hold."""


class Http:
    """Posts to servers and tells what came back; get one from `connect`.

    Args:
        session: Of aiohttp, with the key in its headers.
        options: Of the engine.
        key: To be taken out of whatever comes back.
    """

    def __init__(self, session: aiohttp.ClientSession, options: OpenAIOptions, key: str) -> None:
        self._session, self._timeout = session, options.timeout
        self._proxies = {server.url: _proxy(server.url) for server in options.urls}
        self._hidden = key.encode() if len(key) >= SECRET_LENGTH else b""

    async def post(self, url: str, path: str, body: Mapping[str, Any]) -> Reply:
        """Make one call.

        Args:
            url: Base address of the server.
            path: Of the call, such as `/chat/completions`.
            body: To be sent as JSON.

        Raises:
            Again: No whole reply came: `timeout`, `connection`, or `garbage` when it is no HTTP.
        """
        sent = json.dumps(body).encode()
        try:
            # Redirects are not followed: they would carry the key to wherever they lead.
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
        """Ask a server whether it is there; any reply that is no failure of its own says yes."""
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
        """Take the key out of what a server says: some echo the headers of a request that they refuse."""
        return text.replace(self._hidden, b"[key]") if self._hidden else text


@asynccontextmanager
async def connect(options: OpenAIOptions, key: SecretStr | None) -> AsyncIterator[Http]:
    """Open a session in the event loop of today.

    aiohttp and not httpx or the openai package, because a request costs it a fifth to a tenth of their CPU time
    (docs/decisions.md); all that those would add (retries, typed answers) is done here by our own rules anyway.

    Args:
        options: Of the engine.
        key: For the servers.
    """
    bare = key.get_secret_value() if key else ""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # how many is bounded by `Servers`
        timeout=aiohttp.ClientTimeout(total=options.timeout, sock_connect=min(CONNECT_SECONDS, options.timeout)),
        headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bare}"} if bare else {}),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Http(session, options, bare)


_PROBE = aiohttp.ClientTimeout(total=CONNECT_SECONDS)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


LAST_SECONDS = 30.0
"""What rows under way get to finish when the run breaks off."""
ONLY_BAD = 32
"""Rows that may be refused as `bad_request` before the first answer; more, and it is the prompt, not the row."""
LOOK = (
    "see sampling and schema of the prompt, and structured, output_limit and extra under engine.options;\n"
    "  then ask the rows again that failed with bad_request"
)


class _Stopped(Exception):
    """The run breaks off; the row has no answer and no error."""


class Run:
    """Answers requests; get one from `running`.

    Args:
        options: Of the engine.
        key: For the servers.
        model: Name under which the servers know the model.
        call: Makes one attempt: asks the server at an address, through the session.
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
        self._only_bad: int | None = 0

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Stop all rows, close all connections, end the thread."""
        self._in_loop(self._left.set)
        self._thread.join()

    def ask(self, request: Request) -> None:
        """Begin with a row."""
        self._in_loop(self._begin, request)

    def _in_loop(self, what: Callable[..., None], *arguments: Request) -> None:
        self._ready.wait()
        with suppress(RuntimeError):  # the loop has ended by a fault of its own, which `answer` tells
            if self._loop is not None:
                self._loop.call_soon_threadsafe(what, *arguments)

    def answer(self) -> Answer:
        """Wait for the next row that has finished.

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
        """See one row through to its answer, or to its error."""
        tried: dict[str, float] = {}
        options = self._options
        attempts = AsyncRetrying(
            stop=stop_after_attempt(options.attempts),
            wait=wait_random_exponential(multiplier=options.backoff, max=options.longest_backoff),
            retry=retry_if_exception(lambda error: isinstance(error, Again) and self._fault is None),
            reraise=True,
        )
        try:
            answer = await attempts(self._attempt, request, tried)
        except _Stopped:
            return
        except Again as failure:
            if self._fault is not None:
                return  # not tried often enough to be an error
            detail = f"after {options.attempts} attempts: {failure.detail}"
            answer = Answer(request.key, None, failure.kind, detail)
        except Exception as error:  # no fault of a server: told, not swallowed
            self._finished.put(error)
            return
        self._finished.put(answer)
        self._judge(answer)

    async def _attempt(self, request: Request, tried: dict[str, float]) -> Answer:
        """Ask one server once; to meet one that answers nobody is no attempt."""
        model = request.adapter.name if request.adapter else self._model
        row = asyncio.current_task()
        assert row is not None
        while self._fault is None:
            server = await self._servers.take(model, tried)
            self._asking.add(row)
            try:
                answer = await self._call(self._http, server.url, request)
                self._servers.answered(server)
                return answer
            except Barred as barred:
                self._servers.bar(server, model, str(barred))
            except Again as failure:
                tried[server.url] = asyncio.get_running_loop().time() + min(failure.after, self._options.give_up_after)
                self._servers.failed(server, failure)
                raise
            finally:
                self._asking.discard(row)
                self._servers.give_back(server)
        raise _Stopped

    def _judge(self, answer: Answer) -> None:
        """Stop when the servers refuse every row alike: then it is the prompt or the options, not the row."""
        if answer.text is not None:
            self._only_bad = None
        elif self._only_bad is not None and answer.error == "bad_request":
            self._only_bad += 1
            if self._only_bad > ONLY_BAD:
                words = f"the servers refuse every row: {answer.detail}"
                self._give_up(EngineFault(f"{words}\n  {LOOK}\n  {KEPT}"))

    def _give_up(self, fault: EngineFault) -> None:
        if self._fault is None:
            self._fault = fault
            self._end = asyncio.create_task(self._break_off(fault))

    async def _break_off(self, fault: EngineFault) -> None:
        """Let rows that a server works on finish, for they may be paid; the others stop at once."""
        for row in self._rows - self._asking:
            row.cancel()
        if self._asking:
            await asyncio.wait(set(self._asking), timeout=LAST_SECONDS)
        self._finished.put(fault)


@contextmanager
def running(options: OpenAIOptions, key: SecretStr | None, model: str, call: "Call") -> Iterator[Run]:
    """Run against the servers, and leave no row, connection or thread behind, however it ends.

    Args:
        options: Of the engine.
        key: For the servers.
        model: Name under which the servers know the model.
        call: Makes one attempt at the server of an address.
    """
    run = Run(options, key, model, call)
    run.begin()
    try:
        yield run
    finally:
        run.end()


Call = Callable[[Http, str, Request], Awaitable[Answer]]
"""One attempt at one server; raises `Again` or `Barred`."""
