"""How one refresh asks where it differs from knowflow.yaml: which errors again, which engine, how much it may spend."""

import time
from collections.abc import Sequence

from pydantic import Field

from app.config import Config
from base.frozen import Frozen
from engines.protocol import EngineConfig
from llm_tasks.pipeline.budget import Budget, Limits


class Asking(Frozen):
    """A parameter of the flows `refresh` and `nightly`; everything may be left out."""

    retry: tuple[str, ...] = ()
    """Kinds of errors on record, such as refused or parse; all = every kind. Only rows with these are asked then."""
    engine: str | None = None
    """Instead of `engine.name`: recorded, vllm, openai, or package.module:Class."""
    model: str | None = None
    """Instead of `engine.model`: a folder or a name."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Stop when so many tokens, in and out, have been used."""
    max_cost: float | None = Field(default=None, gt=0)
    """Stop when so much has been spent, by the prices of knowflow.yaml."""
    max_hours: float | None = Field(default=None, gt=0)
    """Stop asking after so many hours."""

    def budget(self, done: Sequence[dict]) -> Budget:
        """The budget as it stands after some techniques.

        Args:
            done: What generation did for each, with `input_tokens`, `output_tokens`, `cost` and `seconds`.
        """
        return Budget(
            Limits(self.max_tokens, self.max_cost, self.max_hours),
            tokens=sum(one["input_tokens"] + one["output_tokens"] for one in done),
            cost=sum(one["cost"] for one in done),
            begun=time.monotonic() - sum(one["seconds"] for one in done),
        )


def with_engine(config: Config, name: str | None, model: str | None) -> Config:
    """Let another engine or model answer.

    Options under `engine:` and the revision stay when the engine does and go when it changes: they are that engine's.
    The knowledge cutoff goes with the model; of another one counts what is published.

    Args:
        config: From knowflow.yaml.
        name: Instead of `engine.name`; None leaves it.
        model: Instead of `engine.model`; None leaves it.
    """
    old = config.engine
    if name is not None and name != old.name:
        engine = EngineConfig(name=name, model=model or old.model)
    elif model is not None and model != old.model:
        engine = old.model_copy(update={"model": model, "revision": "", "knowledge_cutoff": None})
        engine = engine.model_copy(update={"seen_until": None})  # said of the model that knowflow.yaml names
    else:
        return config
    return config.model_copy(update={"engine": engine})
