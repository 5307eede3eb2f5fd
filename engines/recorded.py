"""The recorded engine: earlier answers of a large language model, looked up by content.

Each file becomes a table of answers: its rows are rendered with the version of the prompt they were asked with, and the
answer is stored under the resulting key. From then on only keys count, so a changed prompt, history or title has no
recorded answer and gets an error row that says so. Nothing is ever invented. The prompts are the shipped ones alone,
never a team's own of the same name and version, because these answers were given to the shipped text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

import polars as pl
from pydantic import Field
from tokenizers import Tokenizer

from base.frozen import Frozen
from engines.model_folder import minilm_folder
from engines.protocol import Engine, EngineConfig, EngineFault, EngineKind, SecretReader
from engines.request import Answer, ModelIdentity, Request, answer_key
from prompts.domain import Domain
from prompts.library import choose_prompt
from prompts.prompt import Prompt


class RecordedOptions(Frozen):
    """Options under `engine.options` if `engine.name` is `recorded`."""

    files: dict[str, Path] = Field(default_factory=dict)
    """Prompt name with version, such as `kar_item.v1` -> Parquet file of its answers."""


class RecordedEngine:
    """Answers from Parquet files whose columns are the prompt's variables and `answer`.

    Args:
        model: Name of the model in the answers' keys.
        revision: Revision of the model in the answers' keys.
        files: Prompt name with version (`kar_item.v1`) -> Parquet file.
        domain: The words of the domain that the prompts used.
        seen_until: Time of the newest event that the model was tuned on; None = none.

    Raises:
        EngineFault: A name is not a prompt with its version, or a file lacks a column that the prompt uses.
        WrongUse: There is no such prompt.
    """

    token_counter = (
        "counted with the word pieces of all-MiniLM-L6-v2, because recorded answers have no tokenizer of their own"
    )

    context_tokens = None

    costs_nothing = True

    def __init__(
        self,
        model: str,
        revision: str,
        files: Mapping[str, Path],
        domain: Domain,
        seen_until: datetime | None = None,
    ) -> None:
        self.identity = ModelIdentity(model, revision, seen_until=seen_until)
        self._files = [(_prompt(name, path), path) for name, path in files.items()]
        self._domain = domain

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _answers(self) -> dict[str, str]:
        answers: dict[str, str] = {}
        for prompt, path in self._files:
            for row in pl.read_parquet(path, columns=[*sorted(prompt.variables), "answer"]).iter_rows(named=True):
                messages = prompt.render({k: row[k] for k in prompt.variables}, self._domain)
                key = answer_key(messages, self.identity, prompt.front.sampling, prompt.front.answer_schema)
                answers[key] = row["answer"]
        return answers

    def unanswered(self, keys: Iterable[str]) -> int:
        """Count the keys without a recorded answer."""
        return sum(self._answers.get(key) is None for key in keys)

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count word pieces of all messages, without special tokens."""
        texts = [message["content"] for message in messages]
        return sum(len(e.ids) for e in self._tokenizer.encode_batch(texts, add_special_tokens=False))

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Look up each request by its key; a request without a recorded answer becomes an error row."""
        for request in requests:
            text = self._answers.get(request.key)
            tokens = self.count_tokens(request.messages)
            if text is None:
                yield Answer(
                    request.key,
                    None,
                    error="not_recorded",
                    detail="no recorded answer was asked for with exactly this prompt, model and sampling",
                    input_tokens=tokens,
                )
            else:
                produced = self.count_tokens([{"content": text}])
                yield Answer(request.key, text, input_tokens=tokens, output_tokens=produced)


def _prompt(name: str, path: Path) -> Prompt:
    """Return the prompt with which a file's rows were asked, after checking that the file fits it."""
    task, _, version = name.partition(".v")
    if not version.isdecimal():
        raise EngineFault(
            f"engine.options.files: '{name}' is not a prompt with its version\n  use a name such as kar_item.v1"
        )
    prompt = choose_prompt(task, int(version))
    try:
        there = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise EngineFault(f"engine.options.files: {path} cannot be read as Parquet: {error}") from None
    missing = sorted({*prompt.variables, "answer"} - set(there))
    if missing:
        raise EngineFault(
            f"engine.options.files: {path} lacks {', '.join(missing)}\n"
            f"  the prompt {prompt.name} uses {', '.join(sorted(prompt.variables))}; the file has {', '.join(there)}"
        )
    return prompt


def _build(
    config: EngineConfig, options: RecordedOptions, domain: Domain, folder: Path, secret: SecretReader | None
) -> Engine:
    files = {name: folder / file for name, file in options.files.items()}
    missing = [f"{name}: {path}" for name, path in files.items() if not path.is_file()]
    if missing:
        raise EngineFault("engine.options.files: no such file\n  " + "\n  ".join(missing) + "\nfix the paths")
    return RecordedEngine(config.model, config.revision, files, domain, config.told_until)


RECORDED = EngineKind(
    name="recorded",
    about="earlier answers of a model, looked up by content",
    options=RecordedOptions,
    build=_build,
)
