"""HTTP to the servers: one session for a run, the key in its headers and nowhere else."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic import SecretStr

from engines.openai.options import OpenAIOptions
from engines.openai.reply import Again, Reply

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
