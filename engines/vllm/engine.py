"""The vLLM engine: a model in this very process, fed row by row (pip install 'knowflow[vllm]').

Nothing is loaded before the first row has to be asked, and one process loads a model once, however often it is opened;
planning needs the tokenizer alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from engines.protocol import EngineConfig, EngineFault
from engines.request import Adapter, Answer, ModelIdentity, Request
from engines.vllm.adapters import SPARE, check_adapter, rank_of, room_for
from engines.vllm.feed import Feed
from engines.vllm.load import Loaded, load, prepare
from engines.vllm.options import find_model, read_options
from engines.vllm.sampling import read_sampling
from engines.vllm.tokens import ChatTokens


class VllmEngine:
    """Answers with vLLM.

    Args:
        config: The `engine:` part of knowflow.yaml; `engines/vllm/options.py` tells its options.
        folder: What relative paths are relative to; the folder of knowflow.yaml.

    Raises:
        EngineFault: An option or the model's folder is wrong.
    """

    def __init__(self, config: EngineConfig, folder: Path) -> None:
        prepare()
        self._options = read_options(config.options)
        self._model = find_model(config, folder)
        revision = "+".join(part for part in (self._model.revision, self._options.shaping) if part)
        self.identity = ModelIdentity(self._model.name, revision, seen_until=self._model.seen_until)
        self.token_counter = f"counted exactly, with the tokenizer and chat template of {self._model.name}"
        self._tokens = ChatTokens(self._model.place, self._model.hub_revision, self._options.template)

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer that fit the model together, as it will be told to vLLM.

        Raises:
            EngineFault: The model's config does not say, or says less than the options.
        """
        wanted, longest = self._options.max_model_len, self._tokens.longest
        if wanted and longest and wanted > longest:
            raise EngineFault(
                f"engine.options.max_model_len is {wanted:,}, and {self._model.name} reads at most {longest:,} tokens\n"
                "  say that or less, or leave it out"
            )
        if not wanted and not longest:
            raise EngineFault(
                f"engine.options.max_model_len is missing, and the config of {self._model.name} does not tell it\n"
                "  say how many tokens of prompt and answer the model takes together"
            )
        return wanted or longest or 0

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt, chat template included: the very ids that vLLM is then given."""
        return len(self._tokens.ids(messages))

    def check(self, request: Request) -> None:
        """See by one request of a prompt that the others can be asked, before any is paid for; nothing is loaded.

        Raises:
            EngineFault: Its sampling, form, messages or adapter cannot be used.
        """
        read_sampling(request.sampling, request.schema)
        try:
            self._tokens.ids(request.messages)
        except EngineFault:
            raise
        except Exception as error:  # templates raise what they like
            raise EngineFault(
                f"the chat template of {self._model.name} does not take its messages: {error}\n"
                "  change the roles in the prompt, or take another model"
            ) from None
        if any(not self._tokens.text_ids(candidate) for candidate in request.schema.get("candidates", ())):
            raise EngineFault("a candidate is no token of the model\n  leave it out of schema.candidates")
        if request.adapter:
            check_adapter(request.adapter, Path(self._model.place), self._options.max_lora_rank)

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer a stream of requests as they finish; the model is loaded when there is a first one."""
        source = iter(requests)
        first = next(source, None)
        if first is None:
            return
        feed = Feed(self._load(first.adapter), self._tokens, self._options.in_flight, self.context_tokens)
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
