"""Tokenize conversations with the model's tokenizer and chat template, and score candidates by their tokens.

vLLM gets exactly the tokens that were planned. The log-probability of a candidate is the sum over its tokens, each
given the prompt and the tokens before it. The candidate's token ids are appended to the prompt's: joined as texts, the
two might be split into other tokens. If every candidate is one token, one step after the prompt scores them all;
otherwise each is read as the end of its own prompt.
"""

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from engines.protocol import EngineFault
from engines.request import Answer, Request

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
"""Config fields with the number of tokens that a model reads, as vLLM looks them up."""
PROBE = "a system message of its own"
SHORTEST = 2
"""A special token of so few characters, or of letters alone, is also a piece of ordinary text."""


class ChatTokens:
    """Turns conversations into token ids; needs neither vLLM nor weights.

    Args:
        place: Folder of the model, or its id on the hub.
        revision: Revision on the hub; None for a folder.
        template: Additional variables of the chat template.
    """

    def __init__(self, place: str, revision: str | None, template: Mapping[str, Any]) -> None:
        self._place, self._revision, self._template = place, revision, dict(template)
        self._last: tuple[Messages | None, list[int]] = (None, [])

    @cached_property
    def tokenizer(self) -> Any:
        """Load the model's tokenizer.

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
                "  use the instruct variant of the model, or put its chat_template.jinja into the folder"
            )
        return tokenizer

    @cached_property
    def special(self) -> tuple[str, ...]:
        """Return the tokens that no data may become; see `special_of`."""
        return special_of(self.tokenizer)

    @cached_property
    def longest(self) -> int | None:
        """Return how many tokens the model reads according to its config; None if it does not say."""
        from transformers import AutoConfig  # noqa: PLC0415 - see above

        try:
            config = AutoConfig.from_pretrained(self._place, revision=self._revision or "main").get_text_config()
        except Exception as error:
            raise EngineFault(f"engine.model: the config of {self._place} cannot be read: {error}") from error
        said = [value for name in LENGTHS if isinstance(value := getattr(config, name, None), int)]
        return min([*said, int(min(self.tokenizer.model_max_length, 1 << 40))]) if said else None

    @cached_property
    def takes_system(self) -> bool:
        """Return whether the template shows a system message; some refuse one, some silently drop it."""
        conversation = [{"role": "system", "content": PROBE}, {"role": "user", "content": "hello"}]
        try:
            shown = PROBE in self._render(conversation)
        except Exception:  # a template may raise anything
            shown = False
        if not shown:
            logger.warning(
                "the chat template of %s does not support system messages: its text is put before the user's",
                self._place,
            )
        return shown

    def text(self, messages: Messages, *, answered: bool = False) -> str:
        """Render a conversation with the template, up to the start of the answer, or including it with `answered`."""
        listed = [dict(message) for message in messages]
        if listed and listed[0]["role"] == "system" and not self.takes_system:
            listed = _without_system(listed)
        return self._render(listed, answered)

    def _render(self, messages: list[dict[str, str]], answered: bool = False) -> str:
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not answered, **self._template
        )

    def ids(self, messages: Messages) -> list[int]:
        """Return the token ids of a conversation, up to the start of the answer."""
        if messages is not self._last[0]:  # a row is counted twice, to fit and to plan it, but tokenized once
            self._last = messages, self.text_ids(self.text(messages))
        return self._last[1]

    def text_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without added special tokens."""
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        if fast is not None:  # the same without the wrapper, which is half of the cost
            return fast.encode(text, add_special_tokens=False).ids
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def special_of(tokenizer: Any) -> tuple[str, ...]:
    """Return the special tokens of a tokenizer, and added ones in brackets such as `<tool_call>`."""
    added = tokenizer.added_tokens_decoder.values()
    bracketed = {one.content for one in added if one.special or re.fullmatch(r"<.+>|\[.+\]", one.content)}
    special = {str(one).strip() for one in (*tokenizer.all_special_tokens, *bracketed)}
    return tuple(sorted(one for one in special if len(one) > SHORTEST and not one.isalnum()))


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Put the system message's text before that of the first remaining message."""
    system, first, *rest = messages if len(messages) > 1 else [*messages, {"role": "user", "content": ""}]
    return [{**first, "content": f"{system['content']}\n\n{first['content']}".strip()}, *rest]


MOST_IN_ONE_STEP = 128
LEAST = -1e8
"""Replaces a log-probability that is not finite."""
BETWEEN = "\n"
"""Separates the key of a request from the number of its part."""


@dataclass
class Scoring:
    """One request whose candidates are being scored."""

    request: Request
    """The request."""
    prompt: list[int]
    """Tokens of the prompt."""
    candidates: dict[str, list[int]]
    """Tokens of each candidate."""
    scores: dict[str, float] = field(default_factory=dict)
    """Log-probabilities found so far."""
    input_tokens: int = 0
    """Tokens read for it, including candidates."""
    output_tokens: int = 0
    """Tokens that vLLM generated in addition, one per part."""
    cached_tokens: int = 0
    """Input tokens that were in the prefix cache."""

    @classmethod
    def of(cls, request: Request, prompt: list[int], tokens: ChatTokens) -> "Scoring":
        """Start scoring a request."""
        return cls(request, prompt, {c: tokens.text_ids(c) for c in request.schema["candidates"]})

    @property
    def in_one_step(self) -> bool:
        """Return whether one step scores all candidates, because they are different single tokens."""
        ids = [tuple(ids) for ids in self.candidates.values()]
        return all(len(i) == 1 for i in ids) and len(set(ids)) == len(ids) <= MOST_IN_ONE_STEP

    @property
    def longest(self) -> int:
        """Return the tokens of the longest prompt to read, plus the one that vLLM generates."""
        return len(self.prompt) + (0 if self.in_one_step else max(map(len, self.candidates.values()))) + 1

    def parts(self) -> list[tuple[str, list[int], Any]]:
        """Return what to ask vLLM: id, token ids and parameters of each part."""
        from vllm import SamplingParams  # noqa: PLC0415 - takes seconds, and a plan needs none
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

        shared = {
            "temperature": 0.0,
            "max_tokens": 1,
            "detokenize": False,
            "output_kind": RequestOutputKind.FINAL_ONLY,
            "skip_clone": True,
        }
        if self.in_one_step:
            ids = [ids[0] for ids in self.candidates.values()]
            return [(self._part(0), self.prompt, SamplingParams(**shared, logprob_token_ids=ids))]
        params = SamplingParams(**shared, prompt_logprobs=0, flat_logprobs=True)
        return [(self._part(n), self.prompt + ids, params) for n, ids in enumerate(self.candidates.values())]

    def _part(self, number: int) -> str:
        return f"{self.request.key}{BETWEEN}{number}"

    def take(self, output: Any) -> Answer | None:
        """Add one finished part; return the answer after the last one."""
        self.input_tokens += len(output.prompt_token_ids)
        self.output_tokens += len(output.outputs[0].token_ids)
        self.cached_tokens += output.num_cached_tokens or 0
        if self.in_one_step:
            found = output.outputs[0].logprobs[0]
            self.scores = {c: _finite(found[ids[0]].logprob) for c, ids in self.candidates.items()}
        else:
            name = list(self.candidates)[int(output.request_id.rpartition(BETWEEN)[2])]
            self.scores[name] = _sum_of(output.prompt_logprobs, len(self.prompt), self.candidates[name])
        if len(self.scores) < len(self.candidates):
            return None
        text = json.dumps({c: self.scores[c] for c in self.candidates}, ensure_ascii=False, separators=(",", ":"))
        return Answer(
            self.request.key,
            text,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
        )


def _sum_of(found: Any, begin: int, ids: list[int]) -> float:
    """Sum the candidate's log-probabilities; `found[i]` holds the tokens considered at position i of the prompt."""
    return _finite(sum(found[begin + place][token].logprob for place, token in enumerate(ids)))


def _finite(value: float) -> float:
    return LEAST if math.isnan(value) else min(0.0, max(LEAST, value))  # rounding may leave 1e-7 above 0
