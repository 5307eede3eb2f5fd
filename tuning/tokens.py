"""Tokens of a conversation, and which of them are learned: those of its last answer, including its end."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from engines.vllm.tokens import ChatTokens
from prompts.untrusted import broken
from tuning.conversations import Conversation


class Untold(Exception):
    """The model's chat template cannot render a conversation; the text says why."""


@dataclass(frozen=True)
class Example:
    """One conversation as tokens."""

    ids: np.ndarray
    """[n] int32: token ids."""
    prompt: int
    """How many of them are the prompt, which is shown but not learned; at least 1."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)


def tokenise(tokens: ChatTokens, conversation: Conversation, ends: Set[int]) -> Example:
    """Turn a conversation into tokens.

    The prompt's tokens are exactly those that the engine sends, because prompt and answer are tokenized separately, as
    they are when a model answers. What the template writes after the end of an answer is never generated and is left
    out; if it writes no end, the tokenizer's own is added, so that the model learns to stop.

    Args:
        tokens: Tokenizer and chat template of the model.
        conversation: Messages; the last one is the answer.
        ends: Tokens at which the model stops.

    Raises:
        Untold: The template rejects the messages, or renders the prompt differently once it is answered.
    """
    try:
        prompt, whole = tokens.text(conversation[:-1]), tokens.text(conversation, answered=True)
    except Exception as error:  # a template may raise anything
        raise Untold(f"the chat template does not take it: {error}") from None
    if not whole.startswith(prompt):
        raise Untold("the chat template writes the prompt otherwise once it is answered")
    before, answer = tokens.text_ids(prompt), tokens.text_ids(whole[len(prompt) :])
    last = max((place for place, token in enumerate(answer) if token in ends), default=None)
    answer = [*answer, tokens.tokenizer.eos_token_id] if last is None else answer[: last + 1]
    if not before:
        raise Untold("the chat template makes no token of its prompt")
    return Example(np.array([*before, *answer], dtype=np.int32), len(before))


def as_data(conversation: Conversation, tokens: ChatTokens) -> Conversation:
    """Return a conversation made from data, in which no text becomes a special token of the model's tokenizer."""
    return tuple({**said, "content": broken(said["content"], tokens.special)} for said in conversation)


def stops(tokenizer_end: int | None, *said: int | Sequence[int] | None) -> frozenset[int]:
    """Return the tokens at which a model stops, from its tokenizer and its configs.

    Example:
        >>> sorted(stops(1, [1, 5], None, 7))
        [1, 5, 7]
    """
    found = [tokenizer_end]
    for one in said:
        found += [one] if isinstance(one, int) or one is None else list(one)
    return frozenset(token for token in found if token is not None)
