"""The vllm engine: a model in this process answers, with vLLM."""

from pathlib import Path

from engines.protocol import Engine, EngineConfig, EngineKind, SecretReader
from engines.vllm.options import VllmOptions, find_model
from prompts.domain import Domain


def _build(
    config: EngineConfig, options: VllmOptions, domain: Domain, folder: Path, secret: SecretReader | None
) -> Engine:
    from engines.vllm.engine import VllmEngine  # noqa: PLC0415 - not needed to list the engines

    return VllmEngine(find_model(config, folder), options)


VLLM = EngineKind(
    name="vllm",
    about="a model in this process, with vLLM",
    options=VllmOptions,
    build=_build,
    page="docs/how-to/vllm.md",
)
