"""Whether servers could answer: each is asked for its list of models, which costs nothing."""

import json
from collections.abc import Iterator
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from pydantic import SecretStr

from engines.openai.options import OpenAIOptions
from engines.openai.same_model import same_model
from engines.protocol import EngineFault

SECONDS = 15
"""How long a server may take."""


def ask_for_models(options: OpenAIOptions, key: SecretStr | None, model: str) -> str:
    """Ask each server which models it has.

    Args:
        options: Options of the engine.
        key: The API key.
        model: The model that is going to be asked.

    Returns:
        What the servers said, in words.

    Raises:
        EngineFault: With all servers that could not answer.
    """
    faults, said = [], []
    for server in options.urls:
        try:
            said.append(f"{server.url} {_ask(server.url, key, model)}")
        except EngineFault as fault:
            faults.append(f"{server.url}: {fault}")
    if faults:
        raise EngineFault("\n".join([*faults, "  start the server, or correct engine.options and engine.model"]))
    return "; ".join(said)


def _ask(url: str, key: SecretStr | None, model: str) -> str:
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        with urlopen(Request(f"{url.rstrip('/')}/models", headers=headers), timeout=SECONDS) as reply:
            names = list(_names(reply.read()))
    except HTTPError as error:
        if error.code in (401, 403):
            raise EngineFault(f"rejects the key (HTTP {error.code})") from None
        if error.code in (404, 405):
            return "answers, and has no list of models"
        raise EngineFault(f"answers with HTTP {error.code}") from None
    except (URLError, HTTPException, OSError) as error:
        raise EngineFault(f"cannot be reached: {getattr(error, 'reason', error)}") from None
    if names and not any(same_model(model, name) for name in names):
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        raise EngineFault(f"does not have the model {model}, but {shown}")
    return "has the model" if names else "answers, and has no list of models"


def _names(page: bytes) -> Iterator[str]:
    """Yield the models of an answer; none if it is no such list."""
    try:
        listed = json.loads(page)["data"]
        yield from (str(one["id"]) for one in listed)
    except (ValueError, KeyError, TypeError):
        return
