"""Tokens of a conversation by the model's own tokenizer and chat template: what is planned is what vLLM then gets."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from engines.protocol import EngineFault

logger = logging.getLogger("engines.vllm.engine")
Messages = Sequence[Mapping[str, str]]
LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
"""Where configs say how many tokens a model reads, as vLLM looks for it."""
PROBE = "a system message of its own"


class ChatTokens:
    """Turns conversations into token ids; vLLM is not needed for it, nor any weights.

    Args:
        place: Folder of the model, or its id on the hub.
        revision: Revision on the hub; None for a folder.
        template: Further variables of the chat template.
    """

    def __init__(self, place: str, revision: str | None, template: Mapping[str, Any]) -> None:
        self._place, self._revision, self._template = place, revision, dict(template)
        self._last: tuple[Messages | None, list[int]] = (None, [])

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer.

        Raises:
            EngineFault: It cannot be read, or has no chat template.
        """
        from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds, and most commands count nothing

        try:
            tokenizer = AutoTokenizer.from_pretrained(self._place, revision=self._revision or "main")
        except Exception as error:
            raise EngineFault(f"engine.model: the tokenizer of {self._place} cannot be read: {error}") from error
        if not tokenizer.chat_template:
            raise EngineFault(
                f"engine.model: the tokenizer of {self._place} has no chat template\n"
                "  take the instruct variant of the model, or put its chat_template.jinja into the folder"
            )
        return tokenizer

    @cached_property
    def longest(self) -> int | None:
        """How many tokens the model reads by its config; None when that does not say."""
        from transformers import AutoConfig  # noqa: PLC0415 - see above

        try:
            config = AutoConfig.from_pretrained(self._place, revision=self._revision or "main").get_text_config()
        except Exception as error:
            raise EngineFault(f"engine.model: the config of {self._place} cannot be read: {error}") from error
        said = [value for name in LENGTHS if isinstance(value := getattr(config, name, None), int)]
        return min([*said, int(min(self.tokenizer.model_max_length, 1 << 40))]) if said else None

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template shows a system message; some refuse one, some leave it out without a word."""
        conversation = [{"role": "system", "content": PROBE}, {"role": "user", "content": "hello"}]
        try:
            shown = PROBE in self._render(conversation)
        except Exception:  # templates raise what they like
            shown = False
        if not shown:
            logger.warning(
                "the chat template of %s takes no system message: its text is put before the user's", self._place
            )
        return shown

    def text(self, messages: Messages, *, answered: bool = False) -> str:
        """A conversation as the template writes it, up to where the answer begins, or with the answer as its last."""
        listed = [dict(message) for message in messages]
        if listed and listed[0]["role"] == "system" and not self.takes_system:
            listed = _without_system(listed)
        return self._render(listed, answered)

    def _render(self, messages: list[dict[str, str]], answered: bool = False) -> str:
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not answered, **self._template
        )

    def ids(self, messages: Messages) -> list[int]:
        """Token ids of a conversation, up to where the answer begins."""
        if messages is not self._last[0]:  # a row that is counted twice, to fit it and to plan it, is tokenised once
            self._last = messages, self.text_ids(self.text(messages))
        return self._last[1]

    def text_ids(self, text: str) -> list[int]:
        """Token ids of a text without special tokens of its own."""
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        if fast is not None:  # the same without the wrapper's cost, which is half of all
            return fast.encode(text, add_special_tokens=False).ids
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Put the system message's text before the first message that is left."""
    system, first, *rest = messages if len(messages) > 1 else [*messages, {"role": "user", "content": ""}]
    return [{**first, "content": f"{system['content']}\n\n{first['content']}".strip()}, *rest]
