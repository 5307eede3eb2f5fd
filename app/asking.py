"""Settings of one refresh that differ from knowflow.yaml: which errors to retry, which engine, which limits."""

from collections.abc import Sequence

from pydantic import Field

from app.config import Config
from base.faults import WrongUse
from base.frozen import Frozen
from engines.openai import OPENAI
from engines.protocol import EngineConfig
from engines.ray.config import ExecutorName
from llm_tasks.pipeline.budget import Limits
from llm_tasks.pipeline.slices import Order, Slice


class Asking(Frozen):
    """A parameter of the flows `refresh` and `nightly`; every field is optional."""

    retry: tuple[str, ...] = ()
    """Kinds of recorded errors, such as refused or parse; all = every kind. Then only rows with these are asked."""
    engine: str | None = None
    """Replaces `engine.name`: recorded, vllm, openai, or package.module:Class."""
    model: str | None = None
    """Replaces `engine.model`: a folder or a name."""
    base_url: tuple[str, ...] = ()
    """Replaces `engine.options.urls` of the engine openai: base addresses of servers that share the rows."""
    executor: ExecutorName | None = None
    """Replaces `executor.name`: local, or ray."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Stop after this many tokens, input and output together."""
    max_cost: float | None = Field(default=None, gt=0)
    """Stop after spending this much, by the prices in knowflow.yaml."""
    max_hours: float | None = Field(default=None, gt=0)
    """Stop asking after this many hours."""
    slice: str | None = None
    """Ask about a part of the users and items alone, such as 1/10; the release holds the parts asked about so far."""
    order: Order | None = None
    """Which subjects are in the first slices: most_active, oldest or coldest; without it, slices are made by chance."""

    @property
    def part(self) -> Slice | None:
        """Return the slice to ask about; None = all.

        Raises:
            WrongUse: It is no slice, or an order is given without one.
        """
        if self.slice is None and self.order is not None:
            raise WrongUse("order: it says what the first slices hold\n  give a slice too, such as 1/10")
        return None if self.slice is None else Slice.read(self.slice, self.order)

    @property
    def limits(self) -> Limits:
        """Return how much the run may spend."""
        return Limits(self.max_tokens, self.max_cost, self.max_hours)

    def settings(self, config: Config) -> Config:
        """Return the config with the engine, the model, the servers and the executor of this run."""
        return with_executor(with_engine(config, self.engine, self.model, self.base_url), self.executor)


def with_executor(config: Config, name: ExecutorName | None) -> Config:
    """Return the config with another executor; None leaves it."""
    if name is None or name == config.executor.name:
        return config
    return config.model_copy(update={"executor": config.executor.model_copy(update={"name": name})})


def with_engine(config: Config, name: str | None, model: str | None, base_url: Sequence[str] | None = None) -> Config:
    """Return the config with another engine or model, or with other servers.

    Options under `engine:` and the revision belong to the engine: a change of engine drops them. The knowledge cutoff
    belongs to the model: for another model, the published cutoff applies.

    Args:
        config: From knowflow.yaml.
        name: Replaces `engine.name`; None leaves it.
        model: Replaces `engine.model`; None leaves it.
        base_url: Replaces `engine.options.urls`; None leaves them.

    Raises:
        WrongUse: Servers are given for an engine that asks none.
    """
    old = engine = config.engine
    if name is not None and name != old.name:
        engine = EngineConfig(name=name, model=model or old.model, stop_after_failures=old.stop_after_failures)
    elif model is not None and model != old.model:
        engine = old.model_copy(update={"model": model, "revision": "", "knowledge_cutoff": None})
        engine = engine.model_copy(update={"seen_until": None})  # was about the model in knowflow.yaml
    if base_url:
        if engine.name != OPENAI.name:
            raise WrongUse(f"--base-url: the engine '{engine.name}' asks no server\n  add --engine openai --model NAME")
        engine = engine.model_copy(update={"options": {**engine.options, "urls": list(base_url)}})
    return config if engine is old else config.model_copy(update={"engine": engine})
