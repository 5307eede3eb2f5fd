"""The configured engine on a Ray cluster: the same keys, the same answers, from several actors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from engines.choose import build_engine
from engines.protocol import Engine, EngineConfig, SecretReader
from engines.ray.config import ExecutorConfig
from engines.ray.pool import Job, Pool, check_installed
from engines.request import Adapter, Answer, ModelIdentity, Request
from prompts.domain import Domain


class RayEngine:
    """Answers with actors that each hold the configured engine; all else is asked of one in this process.

    The model is loaded in the actors alone. They live from `prepare` or the first request to the last answer.

    Args:
        config: The `engine:` part of knowflow.yaml.
        domain: The words of the domain.
        folder: Base of relative paths.
        executor: Which cluster, how many actors.
        secret: Reads a stored secret, in this process.
        folders: Folders of a team's own plug-ins.

    Raises:
        EngineFault: The engine cannot be built, or Ray is not installed.
    """

    def __init__(
        self,
        config: EngineConfig,
        domain: Domain,
        folder: Path,
        executor: ExecutorConfig,
        secret: SecretReader | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        check_installed()
        self._here = build_engine(config, domain, folder, secret, folders)
        self._given = (config, domain, folder, tuple(folders))
        self._executor, self._secret, self._pool = executor, secret, None
        self.in_flight = executor.in_flight

    def __getattr__(self, name: str) -> Any:
        """Return what else the engine may have: see `engines.protocol.Engine`."""
        if name.startswith("_") or name == "watch":  # actors do not report unfinished answers
            raise AttributeError(name)
        return getattr(self._here, name)

    @property
    def identity(self) -> ModelIdentity:
        """Return which model answers."""
        return self._here.identity

    @property
    def token_counter(self) -> str:
        """Describe how tokens are counted."""
        return self._here.token_counter

    @property
    def context_tokens(self) -> int | None:
        """Return how many tokens fit the model."""
        return self._here.context_tokens

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt."""
        return self._here.count_tokens(messages)

    def prepare(self, adapter: Adapter | None) -> None:
        """Start the actors, and let each load the model."""
        if self._pool is None:
            config, domain, folder, folders = self._given
            build = partial(answering, config, domain.model_dump(), folder, folders, self._secrets(), adapter)
            self._pool = Pool(build, self._executor, self.identity)

    def _secrets(self) -> dict[str, str]:
        """Read the secrets that options name, since actors have no Prefect."""
        named = [value for name, value in self._given[0].options.items() if name.endswith("_secret") and value]
        return {name: self._secret(name) for name in named} if self._secret else {}

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer a stream of requests; the answers of a block come together."""
        self.prepare(None)
        assert self._pool is not None, "prepare starts it"
        try:
            for _, answers in self._pool.work(map(fields_of_request, requests)):
                for values in answers:
                    yield Answer(*values)
        finally:
            self._pool.close()
            self._pool = None


def answering(
    config: EngineConfig,
    words: Mapping[str, Any],
    folder: Path,
    folders: Sequence[Path],
    secrets: Mapping[str, str],
    adapter: Adapter | None,
) -> tuple[ModelIdentity, Job]:
    """Build the engine in an actor; return which model answers, and what answers a block."""
    domain = Domain.model_validate(words)  # its templates cannot be pickled
    engine: Engine = build_engine(config, domain, folder, secrets.__getitem__, folders)
    prepare = getattr(engine, "prepare", None)
    if prepare is not None:
        prepare(adapter)
    return engine.identity, lambda block: map(fields_of_answer, engine.generate(Request(*one) for one in block))


fields_of_request = attrgetter(*(field.name for field in fields(Request)))
fields_of_answer = attrgetter(*(field.name for field in fields(Answer)))
"""Fields as a tuple, which is pickled in a fraction of the time that a frozen dataclass takes."""
