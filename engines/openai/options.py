"""Options of the `openai` engine: servers, concurrency, retries, and when to stop."""

import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from base.frozen import Frozen
from engines.protocol import EngineFault, SecretReader


class ServerOptions(Frozen):
    """One OpenAI-compatible server."""

    url: str
    """Base address of its API, such as `http://gpu1:8000/v1`."""
    concurrency: int | None = Field(default=None, ge=1)
    """Maximum concurrent requests to this server; the engine's `concurrency` if not given."""
    weight: float = Field(default=1.0, gt=0)
    """Its share beside its measured speed: of two equally fast servers, one with weight 2 is kept twice as busy."""

    @field_validator("url")
    @classmethod
    def _base_address(cls, value: str) -> str:
        shown = _without_secret(value)
        try:
            parts = urlsplit(value)
        except ValueError:  # its words hold the whole address
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"'{shown}' is not an address; use one such as http://gpu1:8000/v1")
        if "@" in value or parts.query or parts.fragment:  # a password may hold a slash
            raise ValueError(f"'{shown}' has more than an address; put a key in api_key_env")
        if parts.path.rstrip("/").endswith("/completions"):
            raise ValueError(f"'{value}' is the address of a call; give the part before /chat/completions")
        return value.rstrip("/")


def _without_secret(value: str) -> str:
    """Return an address without what may hold a user, a password or a key."""
    shown = value if "@" not in value else f"...@{value.rpartition('@')[2]}"
    return re.sub(r"[?#].*", "?...", shown, flags=re.DOTALL)


class OpenAIOptions(Frozen):
    """Options under `engine.options` if `engine.name` is `openai`."""

    urls: tuple[ServerOptions, ...] = Field(min_length=1)
    """Base addresses of the servers: one address, a list of addresses, or a list of `{url, concurrency, weight}`."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable with the API key; it may be unset for servers that need no key."""
    api_key_secret: str | None = None
    """Name of a Prefect Secret block with the API key, instead of the environment variable."""
    concurrency: int = Field(default=32, ge=1)
    """Maximum concurrent requests per server."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds for one attempt, from the first byte sent to the last one read."""
    attempts: int = Field(default=6, ge=1)
    """How many times a row is tried before it becomes an error row; being asked to slow down is no attempt."""
    backoff: float = Field(default=1.0, ge=0)
    """Maximum seconds before the second attempt, doubled for each further one; waits are random up to that."""
    longest_backoff: float = Field(default=60.0, ge=0)
    """Maximum seconds between two attempts."""
    open_after: int = Field(default=5, ge=1)
    """Failures in a row after which a server gets no more rows until it answers a probe."""
    probe_after: float = Field(default=1.0, gt=0)
    """Seconds before that probe; doubled after each one that fails."""
    give_up_after: float = Field(default=300.0, gt=0)
    """Seconds without an answer from any server after which the run stops."""
    tokenizer: str | None = None
    """Folder of the model's tokenizer, for exact counts with its chat template; counts are estimated if not given."""
    context_tokens: int | None = Field(default=None, ge=1)
    """Tokens of prompt and answer that fit the model together; not checked beforehand if not given."""
    structured: Literal["json_schema", "vllm", "none"] = "json_schema"
    """How to request a declared form: `response_format` of type `json_schema`, vLLM's `structured_outputs`, or not at
    all."""
    seed_rows: bool = True
    """Send each row a seed made from its answer key if tokens are sampled (`temperature` above 0) and the prompt sets
    no seed; turn it off for services that do not support `seed`."""
    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The server's name for the maximum number of answer tokens."""
    other_model: Literal["warn", "error"] = "warn"
    """What to do if a server says that another model answered than the one asked for: warn once, or stop the run."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Additional fields of every request, such as `chat_template_kwargs`; part of every answer's key."""

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        listed = value if isinstance(value, (list, tuple)) else [value]
        return tuple({"url": server} if isinstance(server, str) else server for server in listed)

    @model_validator(mode="after")
    def _fits_together(self) -> "OpenAIOptions":
        urls = [server.url for server in self.urls]
        twice = sorted({url for url in urls if urls.count(url) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} appears more than once; raise the concurrency of one address instead")
        mine = {"model", "messages", "stream", "n"} & set(self.extra)
        if mine:
            raise ValueError(f"extra must not hold {', '.join(sorted(mine))}; the engine sets it")
        return self

    @property
    def in_flight(self) -> int:
        """Return the maximum number of rows in flight over all servers."""
        return sum(server.concurrency or self.concurrency for server in self.urls)


def find_tokenizer(options: OpenAIOptions, folder: Path) -> OpenAIOptions:
    """Make the path of the tokenizer absolute.

    Args:
        options: The options.
        folder: Base of a relative path.

    Raises:
        EngineFault: The folder has no tokenizer.
    """
    if options.tokenizer is None:
        return options
    path = (folder / options.tokenizer).resolve()
    if not (path / "tokenizer_config.json").is_file():
        raise EngineFault(
            f"engine.options.tokenizer: {path} holds no tokenizer_config.json\n"
            "  set it to the folder of the model's tokenizer, or leave it out to use an estimate"
        )
    return options.model_copy(update={"tokenizer": str(path)})


def read_key(options: OpenAIOptions, secret: SecretReader | None) -> SecretStr | None:
    """Read the API key for the servers; None if they need none.

    Args:
        options: Say where it is stored.
        secret: Reads a Prefect Secret block.

    Raises:
        EngineFault: The named source has no key, or it cannot be sent in a header; the text never contains the key.
    """
    if options.api_key_secret is not None:
        where = f"engine.options.api_key_secret: the Prefect Secret block '{options.api_key_secret}'"
        if secret is None:
            raise EngineFault(f"{where} can only be read by knowflow refresh\n  use api_key_env here")
        try:
            key = secret(options.api_key_secret)
        except Exception as error:
            raise EngineFault(f"{where} cannot be read: {error}\n  create it, or use api_key_env") from None
    else:
        where = f"engine.options.api_key_env: the environment variable {options.api_key_env}"
        key = os.environ.get(options.api_key_env, "")
        if not key.strip() and "api_key_env" in options.model_fields_set:
            raise EngineFault(f"{where} is not set\n  set it, or remove api_key_env if no key is needed")
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise EngineFault(
            f"{where} has characters that are not allowed in a key\n  set it again, without spaces or quotes"
        )
    return SecretStr(key) if key else None
