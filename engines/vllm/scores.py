"""Scores of candidates: how likely the model finds each of some texts as its answer, exactly.

The log-probability of a candidate is the sum over its tokens, each given the prompt and the tokens before it. The
candidate's token ids are put behind the prompt's: joined as texts the two might be cut into other tokens. When every
candidate is one token, one step after the prompt tells them all; else each is read as the end of a prompt of its own.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from engines.request import Answer, Request
from engines.vllm.tokens import ChatTokens

MOST_IN_ONE_STEP = 128
LEAST = -1e8
"""Stands for a log-probability that is no finite number."""
BETWEEN = "\n"
"""Stands between the key of a request and the number of its part."""


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
    """Tokens that were read for it, candidates included."""
    output_tokens: int = 0
    """Tokens that vLLM made beside, one each time."""
    cached_tokens: int = 0
    """Of those read, known before."""

    @classmethod
    def of(cls, request: Request, prompt: list[int], tokens: ChatTokens) -> "Scoring":
        """Begin."""
        return cls(request, prompt, {c: tokens.text_ids(c) for c in request.schema["candidates"]})

    @property
    def in_one_step(self) -> bool:
        """Whether one step tells all candidates: they are different single tokens."""
        ids = [tuple(ids) for ids in self.candidates.values()]
        return all(len(i) == 1 for i in ids) and len(set(ids)) == len(ids) <= MOST_IN_ONE_STEP

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt that has to be read, and the one vLLM makes."""
        return len(self.prompt) + (0 if self.in_one_step else max(map(len, self.candidates.values()))) + 1

    def parts(self) -> list[tuple[str, list[int], Any]]:
        """What vLLM is to be asked: id, token ids and parameters of each part."""
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
        """Take one part that has finished; returns the answer after the last one."""
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
    """Sum what stands at the candidate's places; `found[i]` holds the tokens considered for place i of the prompt."""
    return _finite(sum(found[begin + place][token].logprob for place, token in enumerate(ids)))


def _finite(value: float) -> float:
    return LEAST if math.isnan(value) else min(0.0, max(LEAST, value))  # rounding may leave 1e-7 above 0
