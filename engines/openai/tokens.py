"""Counting the tokens of a prompt before it is sent: exactly with the model's own tokenizer, else by an estimate."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.protocol import EngineFault

BYTES_PER_TOKEN = 4
"""What English text has in most vocabularies; others have fewer."""


def estimate_tokens(*texts: str) -> int:
    """Estimate tokens by bytes.

    Example:
        >>> estimate_tokens("eight...", "one more")
        4
    """
    return -(-sum(len(text.encode(errors="replace")) for text in texts) // BYTES_PER_TOKEN)


class EstimatedTokens:
    """Counts without a tokenizer."""

    words = "an estimate, a quarter of the prompt's bytes; name engine.options.tokenizer for exact counts"

    def count(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Estimate the tokens of a rendered prompt."""
        return estimate_tokens(*(message["content"] for message in messages))


class ExactTokens:
    """Counts with the model's tokenizer and chat template, as the server does.

    Args:
        folder: Of the tokenizer.
        template: Further variables of the chat template, as `extra.chat_template_kwargs` sends them.
    """

    def __init__(self, folder: str, template: Mapping[str, Any]) -> None:
        self._folder, self._template = folder, dict(template)
        self.words = f"counted exactly, with the tokenizer and chat template of {Path(folder).name}"

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer  # noqa: PLC0415  (seconds to import, and only a plan counts)

        try:
            tokenizer = AutoTokenizer.from_pretrained(self._folder)
        except Exception as error:
            raise EngineFault(f"engine.options.tokenizer: {self._folder} cannot be read: {error}") from error
        if not tokenizer.chat_template:
            raise EngineFault(
                f"engine.options.tokenizer: the tokenizer in {self._folder} has no chat template\n"
                "  put the chat_template.jinja that the server uses into the folder"
            )
        return tokenizer

    def count(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt."""
        return len(self.prompt_ids(messages))

    def prompt_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of a rendered prompt, up to where the answer begins."""
        return self._tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=False,
            **self._template,
        )

    def text_ids(self, text: str) -> list[int]:
        """Tokens of a text that stands inside an answer."""
        return self._tokenizer.encode(text, add_special_tokens=False)


Tokens = EstimatedTokens | ExactTokens
