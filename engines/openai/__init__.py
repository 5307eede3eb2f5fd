"""The openai engine: any number of OpenAI-compatible servers answer."""

from pathlib import Path

from engines.openai.options import OpenAIOptions, find_tokenizer
from engines.protocol import Engine, EngineConfig, EngineKind, SecretReader
from prompts.domain import Domain


def _build(
    config: EngineConfig, options: OpenAIOptions, domain: Domain, folder: Path, secret: SecretReader | None
) -> Engine:
    from engines.openai.engine import OpenAIEngine  # noqa: PLC0415 - its HTTP client is slow to import

    found = find_tokenizer(options, folder)
    return OpenAIEngine(config.model, found, config.revision, config.told_until, secret)


OPENAI = EngineKind(
    name="openai",
    about="any number of OpenAI-compatible servers, vLLM or hosted, share the rows",
    options=OpenAIOptions,
    build=_build,
    page="docs/how-to/openai-server.md",
)
