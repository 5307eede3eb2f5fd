"""How fast a model reads and writes: tokens of rows that are not finished, and a warning when it is far too slow.

A step of a model that is far too slow may itself take minutes, so the warning comes from a thread of its own.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger("engines.vllm.pace")
Watch = Callable[[int], None]
"""Called about once a second with the tokens written so far in a run, those of unfinished rows included."""
SECONDS_BETWEEN = 1.0
WARN_AFTER = 20.0
"""Seconds from the first request until the speed is judged."""
LEAST = 1.0
"""Tokens a second, read and written together, below which something is wrong: a large model on two cores does more."""


class Pace:
    """Counts the tokens of one run.

    Args:
        states: Returns vLLM's states of the requests that it has not finished.
        cause: The likely cause if the run is too slow, in words.
        watch: Called about once a second.
        clock: Gives the time in seconds.
    """

    def __init__(self, states: Callable[[], Any], cause: str, watch: Watch | None, clock: Callable[[], float]) -> None:
        self._states, self._cause, self._watch, self._clock = states, cause, watch, clock
        self._finished_in = self._finished_out = 0
        self._begun = self._looked = clock()

    def finish(self, output: Any) -> None:
        """Count a finished output of vLLM."""
        self._finished_in += len(output.prompt_token_ids)
        self._finished_out += sum(len(one.token_ids) for one in output.outputs)

    def step(self) -> None:
        """Tell who watches the run how many tokens are written, if the last time was a second ago."""
        now = self._clock()
        if self._watch is not None and now - self._looked >= SECONDS_BETWEEN:
            self._looked = now
            self._watch(self.written())

    def written(self) -> int:
        """Return how many tokens have been written, those of unfinished rows included."""
        return self._finished_out + sum(state.detokenizer.num_output_tokens() for state in list(self._states()))

    def read(self) -> int:
        """Return how many tokens of prompts have been read."""
        return self._finished_in + sum(state.prompt_len for state in list(self._states()) if not state.is_prefilling)

    def judge(self) -> bool:
        """Warn if the run is far too slow; return whether it is."""
        seconds, tokens = max(self._clock() - self._begun, 1e-9), self.written() + self.read()
        slow = tokens / seconds < LEAST
        if slow:
            logger.warning(
                "the model is very slow: %s tokens read and written in %.0f s\n  the likely cause: %s",
                f"{tokens:,}",
                seconds,
                self._cause,
            )
        return slow

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Judge the run once, after a while, if it still goes on."""
        timer = threading.Timer(WARN_AFTER, self.judge)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
