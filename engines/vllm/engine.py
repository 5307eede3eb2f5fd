"""The vllm engine: a model in this process, fed row by row (pip install 'knowflow[vllm]').

Nothing is loaded before the first row must be asked, and a process loads a model once, however often it is opened;
planning needs only the tokenizer. Rows go to vLLM's own scheduler, a limited number at once, and each answer is
returned as soon as it is finished.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from engines.processor import why_slow
from engines.protocol import KEPT, EngineFault
from engines.request import Adapter, Answer, ModelIdentity, Request
from engines.thinking import WAYS_OUT, without_thinking
from engines.vllm.load import BUSY, SPARE, Loaded, check_adapter, load, prepare, rank_of, room_for
from engines.vllm.options import ModelSource, VllmOptions
from engines.vllm.pace import Pace, Watch
from engines.vllm.sampling import ParamsMaker, read_sampling
from engines.vllm.tokens import BETWEEN, ChatTokens, Scoring

CUT_OFF = "cut off at max_tokens"
FAILED = {"error": "vLLM broke off this row", "abort": "vLLM aborted this row"}


class Feed:
    """One run of requests through one loaded model.

    Args:
        loaded: The model.
        tokens: Its tokenizer.
        in_flight: Maximum number of rows inside vLLM at once.
        room: Tokens of prompt and answer that fit the model.
        watch: Called about once a second with the tokens written so far.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        loaded: Loaded,
        tokens: ChatTokens,
        in_flight: int,
        room: int,
        watch: Watch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loaded, self._tokens, self._most, self._room = loaded, tokens, in_flight, room
        self._engine: Any = loaded.llm.llm_engine
        cause = why_slow(str(self._engine.model_config.dtype).removeprefix("torch."), loaded.on_cpu)
        self._pace = Pace(self._engine.output_processor.request_states.values, cause, watch, clock)
        self._params = ParamsMaker()
        self._texts: set[str] = set()
        self._scorings: dict[str, Scoring] = {}

    def run(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """Yield answers in the order in which they finish.

        Whatever ends the run early (an error, an interrupt, a caller that stops), vLLM is left with nothing in flight,
        ready for the next run.

        Raises:
            EngineFault: vLLM failed, or is answering another run.
        """
        if not self._loaded.busy.acquire(blocking=False):
            raise EngineFault(BUSY)
        try:
            with self._pace.judged():
                yield from self._answers(requests)
        finally:
            self._abort_all()
            self._loaded.busy.release()

    def _answers(self, requests: Iterator[Request]) -> Iterator[Answer]:
        more = True
        while True:
            while more and self._under_way < self._most:
                request = next(requests, None)
                more = request is not None
                if request is not None and (refused := self._add(request)):
                    yield refused
            if not self._under_way:
                return
            for output in self._step():
                if answer := self._take(output):
                    yield answer
            self._pace.step()

    @property
    def _under_way(self) -> int:
        return len(self._texts) + len(self._scorings)

    def _add(self, request: Request) -> Answer | None:
        """Pass one row to vLLM; return its error if it cannot be asked."""
        try:
            ids = self._tokens.ids(request.messages)
        except (UnicodeError, TypeError) as error:
            return _error(request, "not_utf8", f"the prompt holds characters that cannot be sent: {error}")
        except Exception as error:  # a template may raise anything
            return _error(request, "bad_template", f"the chat template does not take these messages: {error}")
        scoring = Scoring.of(request, ids, self._tokens) if request.schema.get("type") == "scores" else None
        needed = scoring.longest if scoring else len(ids) + 1
        if not ids:
            return _error(request, "empty_prompt", "the chat template makes no token of these messages")
        if needed > self._room:
            return _error(request, "too_long", f"{needed:,} tokens do not fit the model's {self._room:,}", len(ids))
        fault = self._hand_over(request, ids, scoring)
        if fault is not None:
            return _error(request, *fault, len(ids))
        if scoring:
            self._scorings[request.key] = scoring
        else:
            self._texts.add(request.key)
        return None

    def _hand_over(self, request: Request, ids: list[int], scoring: Scoring | None) -> tuple[str, str] | None:
        """Pass all parts of one row to vLLM, or none; return the kind and text of the error."""
        from vllm.exceptions import VLLMClientError  # noqa: PLC0415 - loaded by now

        adapter, added = self._loaded.adapters.request(request.adapter), []
        try:
            parts = scoring.parts() if scoring else [(request.key, ids, self._params.params(request))]
            for name, prompt, params in parts:
                tokens = {"type": "token", "prompt_token_ids": prompt}
                added.append(self._engine.add_request(name, tokens, params, lora_request=adapter))
        except (VLLMClientError, ValueError) as error:  # some checks of forms still raise ValueError
            self._engine.abort_request(added, internal=True)
            return "bad_schema" if request.schema.get("type") in ("object", "choice") else "refused", str(error)
        return None

    def _step(self) -> list[Any]:
        try:
            return self._engine.step()
        except Exception as error:
            raise EngineFault(
                f"vLLM failed with {self._under_way:,} rows in flight: {type(error).__name__}: {error}\n"
                f"  {KEPT}; if memory is short, lower"
                " in_flight or max_model_len under engine.options"
            ) from error

    def _take(self, output: Any) -> Answer | None:
        """Turn one finished output into an answer; None while parts of a request are missing."""
        if not output.finished:
            return None
        self._pace.finish(output)
        key = output.request_id.partition(BETWEEN)[0]
        scoring = self._scorings.get(key)
        if scoring:
            answer = scoring.take(output)
            if answer:
                del self._scorings[key]
            return answer
        self._texts.remove(key)
        (made,) = output.outputs
        spent = {
            "input_tokens": len(output.prompt_token_ids),
            "output_tokens": len(made.token_ids),
            "cached_tokens": output.num_cached_tokens or 0,
        }
        if made.finish_reason in FAILED:
            return Answer(key, None, error="broke_off", detail=FAILED[made.finish_reason], **spent)
        finish, text = made.finish_reason or "", without_thinking(made.text)
        if text is None:
            return Answer(key, None, "no_text", f"the model gave no text: {WAYS_OUT}", finish=finish, **spent)
        return Answer(key, text, detail=CUT_OFF if finish == "length" else "", finish=finish, **spent)

    def _abort_all(self) -> None:
        """Leave nothing in flight; a failed engine may no longer know its requests."""
        left = list(self._engine.output_processor.request_states)
        with suppress(Exception):
            if left:
                self._engine.abort_request(left, internal=True)


def _error(request: Request, kind: str, detail: str, tokens: int = 0) -> Answer:
    return Answer(request.key, None, error=kind, detail=detail, input_tokens=tokens)


class VllmEngine:
    """Answers with vLLM.

    Args:
        model: The model, from `find_model`.
        options: Options of the engine.
    """

    def __init__(self, model: ModelSource, options: VllmOptions) -> None:
        prepare()
        self._model, self._options = model, options
        revision = "+".join(part for part in (self._model.revision, self._options.shaping) if part)
        self.identity = ModelIdentity(self._model.name, revision, seen_until=self._model.seen_until)
        self.token_counter = f"counted exactly, with the tokenizer and chat template of {self._model.name}"
        self._watch: Watch | None = None
        self._tokens = ChatTokens(self._model.place, self._model.hub_revision, self._options.template)

    @property
    def in_flight(self) -> int:
        """Return how many rows are inside vLLM at once."""
        return self._options.in_flight

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Return the special tokens of the tokenizer, which data must not contain."""
        return self._tokens.special

    @property
    def context_tokens(self) -> int:
        """Return how many tokens of prompt and answer fit the model together, as configured for vLLM.

        Raises:
            EngineFault: The model's config does not say, or allows less than the options.
        """
        wanted, longest = self._options.max_model_len, self._tokens.longest
        if wanted and longest and wanted > longest:
            raise EngineFault(
                f"engine.options.max_model_len is {wanted:,}, but {self._model.name} reads at most {longest:,} tokens\n"
                "  set it to that or less, or leave it out"
            )
        if not wanted and not longest:
            raise EngineFault(
                f"engine.options.max_model_len is missing, and the config of {self._model.name} does not give it\n"
                "  set it to how many tokens of prompt and answer the model takes together"
            )
        return wanted or longest or 0

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt, including the chat template; vLLM gets exactly these ids."""
        return len(self._tokens.ids(messages))

    def check(self, request: Request) -> None:
        """Check with one request of a prompt that the others can be asked, before any is paid for; nothing is loaded.

        Raises:
            EngineFault: Its sampling, form, messages or adapter cannot be used.
        """
        read_sampling(request.sampling, request.schema)
        try:
            self._tokens.ids(request.messages)
        except EngineFault:
            raise
        except Exception as error:  # a template may raise anything
            raise EngineFault(
                f"the chat template of {self._model.name} does not accept its messages: {error}\n"
                "  change the roles in the prompt, or use another model"
            ) from None
        if any(not self._tokens.text_ids(candidate) for candidate in request.schema.get("candidates", ())):
            raise EngineFault("a candidate has no token in the model\n  remove it from schema.candidates")
        if request.adapter:
            check_adapter(request.adapter, Path(self._model.place), self._options.max_lora_rank)

    def prepare(self, adapter: Adapter | None) -> None:
        """Load the model before the first request is taken, so that loading does not count as time of the rows."""
        self._load(adapter)

    def watch(self, watch: Watch | None) -> None:
        """Let somebody know, about once a second, how many tokens a run has written; None ends it."""
        self._watch = watch

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yield answers as they finish; the model is loaded with the first request."""
        source = iter(requests)
        first = next(source, None)
        if first is None:
            return
        loaded, options = self._load(first.adapter), self._options
        feed = Feed(loaded, self._tokens, options.in_flight, self.context_tokens, self._watch)
        yield from feed.run(chain([first], source))

    def _load(self, adapter: Adapter | None = None) -> Loaded:
        options, model = self._options, self._model
        places = options.max_loras or (1 if adapter else 0)
        arguments = {
            "model": model.place,
            "revision": model.hub_revision,
            "dtype": options.dtype,
            "quantization": options.quantization,
            "max_model_len": self.context_tokens,
            "max_num_seqs": options.max_num_seqs or options.in_flight,
            "enforce_eager": options.enforce_eager,
            "tensor_parallel_size": options.gpus,
            "gpu_memory_utilization": options.gpu_memory,
            "seed": options.seed,
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
            "use_tqdm_on_load": False,
        }
        if options.kv_cache_bytes:
            arguments["kv_cache_memory_bytes"] = options.kv_cache_bytes
        if places:
            arguments |= {
                "enable_lora": True,
                "max_loras": places + SPARE,
                "max_cpu_loras": places + SPARE,
                "max_lora_rank": options.max_lora_rank or room_for(rank_of(adapter) if adapter else 0),
            }
        return load(arguments, model.revision, "engine.model", adapter)
