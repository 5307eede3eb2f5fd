"""The vllm encoder: a large sentence-transformers model that runs inside vLLM.

Idea:      embedding models with billions of parameters are language models with pooling on top; vLLM batches them as it
           batches generation, which sentence-transformers does not.
Relations: dense gives the same vectors for the same folder (to 1e-5 in float32) without vLLM and starts faster for
           small models.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from base.frozen import Frozen
from base.progress import Progress
from encoders.protocol import EncoderKind
from encoders.saved import read_tuned, saved_pooling
from engines.model_folder import fingerprint
from engines.protocol import EngineFault
from engines.vllm.load import Loaded, load, prepare

POOLINGS = ("mean", "cls", "lasttoken")
FIX = "if memory is short, lower batch_size or max_tokens of this encoder, or use kind: dense"
MODULES = ("Transformer", "Pooling", "Dense", "Normalize")


class VllmEncoderOptions(Frozen):
    """Settings of an encoder of kind vllm."""

    model: str
    """Folder of a sentence-transformers model, which defines the pooling."""
    max_tokens: int = Field(default=256, ge=8)
    """Maximum tokens of a text; longer texts are truncated."""
    batch_size: int = Field(default=32, ge=1)
    """Texts in one forward pass; never changes a vector."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights; `auto` uses the model's own, or 16 bits for a 32-bit model."""
    enforce_eager: bool = False
    """Run without compilation: starts faster, runs slower."""


class VllmEncoder:
    """Encodes with vLLM's pooling runner and the folder's modules: mean, cls or last token, Dense, Normalize.

    Args:
        model: Folder of a saved sentence-transformers model.
        max_tokens: Maximum tokens of a text; the folder's own limit if that is lower.
        batch_size: Texts inside vLLM at once.
        dtype: Number format of the weights.
        enforce_eager: Start faster, run slower.
        folder: Base of a relative path; the folder of knowflow.yaml.

    Raises:
        FileNotFoundError: The folder is not a saved sentence-transformers model.
        ValueError: It has modules that vLLM cannot run, or was tuned but does not record on which events.
    """

    def __init__(
        self,
        model: str,
        max_tokens: int,
        batch_size: int,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        enforce_eager: bool = False,
        folder: Path | None = None,
    ) -> None:
        prepare()
        self._folder = ((folder or Path()) / model).expanduser().resolve()
        self._batch_size, self._dtype, self._eager = batch_size, dtype, enforce_eager
        if not (self._folder / "modules.json").is_file():
            raise FileNotFoundError(f"model '{model}': {self._folder} has no modules.json of sentence-transformers")
        self.dimension = self._check_modules()
        self._max_tokens = min(max_tokens, *self._limits())
        tuned = read_tuned(self._folder)
        self.seen_until, self._wrapping = tuned.seen_until, tuned.wrapping
        self._files = fingerprint(self._folder)
        self.fingerprint = f"vllm-{self._files}-{self._max_tokens}-{dtype}"
        self._number = count()

    def _check_modules(self) -> int:
        """Check that vLLM can run the modules; return the length of a vector."""
        dimension = 0
        modules: Any = self._read("modules.json")
        for module in modules:
            kind = module["type"].rsplit(".", 1)[-1]
            if kind not in MODULES:
                raise ValueError(f"{self._folder} has a module {kind}; vLLM runs {', '.join(MODULES)}")
            if kind in ("Pooling", "Dense"):
                said = self._read(f"{module['path']}/config.json")
                if kind == "Pooling" and saved_pooling(said) not in POOLINGS:
                    raise ValueError(
                        f"{self._folder} pools by {saved_pooling(said)}; vLLM supports {', '.join(POOLINGS)}"
                    )
                sizes = ("out_features", "embedding_dimension", "word_embedding_dimension")
                dimension = next(int(said[name]) for name in sizes if name in said)
        if not dimension:
            raise ValueError(f"{self._folder} has no Pooling module")
        return dimension

    def _limits(self) -> list[int]:
        """Return the limits of tokens: where the folder truncates texts, and what the model can read.

        Raises:
            ValueError: It puts texts into a chat template, which vLLM would ignore.
        """
        said = self._read("sentence_bert_config.json")
        if "message" in said.get("modality_config", {}):
            raise ValueError(
                f"{self._folder} puts every text into a chat template (modality_config in sentence_bert_config.json);"
                " save it with a tokenizer that has no chat template"
            )
        tokens, model = self._read("tokenizer_config.json"), self._read("config.json")
        limits = said.get("max_seq_length"), tokens.get("model_max_length"), model.get("max_position_embeddings")
        return [int(limit) for limit in limits if limit]

    def _read(self, name: str) -> dict[str, Any]:
        file = self._folder / name
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds, and a plan needs none

        return AutoTokenizer.from_pretrained(str(self._folder))

    @cached_property
    def _prompt(self) -> str:
        """Return the prompt that sentence-transformers puts before every text by default."""
        said = self._read("config_sentence_transformers.json")
        return said.get("prompts", {}).get(said.get("default_prompt_name"), "")

    def _load(self) -> Loaded:
        arguments = {
            "model": str(self._folder),
            "runner": "pooling",
            "dtype": self._dtype,
            "max_num_seqs": self._batch_size,
            "enforce_eager": self._eager,
            "use_tqdm_on_load": False,
        }
        return load(arguments, self._files, "encoders.model")

    def encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        """Encode texts: [n] -> [n, d] float32, each of norm 1 (zeros for a text without a token).

        Raises:
            EngineFault: vLLM cannot load the model, or failed.
        """
        loaded = self._load()
        from vllm import PoolingParams  # noqa: PLC0415 - already loaded

        engine, params = loaded.llm.llm_engine, PoolingParams(task="embed")
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        waiting, done, places = iter(enumerate(texts)), 0, {}
        with loaded.busy:
            try:
                while True:
                    while len(places) < 2 * self._batch_size and (following := next(waiting, None)) is not None:
                        place, text = following
                        if ids := self._ids(text):
                            name = str(next(self._number))
                            places[name] = place
                            engine.add_request(name, {"type": "token", "prompt_token_ids": ids}, params)
                        else:
                            done += 1
                    if not places:
                        return out
                    for output in engine.step():
                        out[places.pop(output.request_id)] = self._unit(output.outputs.data)
                        done += 1
                    progress("encoding (vllm)", done, len(texts))
            except RuntimeError as error:  # torch's, such as too little memory
                raise EngineFault(f"vLLM failed while encoding with {self._folder}: {error}\n  {FIX}") from error
            finally:
                left = list(engine.output_processor.request_states)
                if left:
                    engine.abort_request(left, internal=True)

    def _ids(self, text: str) -> list[int]:
        if self._wrapping:
            text = self._wrapping.wrap(text, self._tokenizer)
        return self._tokenizer(self._prompt + text, truncation=True, max_length=self._max_tokens)["input_ids"]

    def _unit(self, vector: Any) -> np.ndarray:
        found = vector.float().cpu().numpy()
        if len(found) != self.dimension:  # vLLM silently skips a Dense module that it cannot read
            raise EngineFault(
                f"vLLM returns vectors of length {len(found)} for {self._folder}; its modules say {self.dimension}\n"
                "  use kind: dense for this model"
            )
        return found / max(float(np.linalg.norm(found)), 1e-12)


VLLM = EncoderKind(
    name="vllm",
    about="a large sentence-transformers model inside vLLM",
    options=VllmEncoderOptions,
    build=lambda options, folder: VllmEncoder(**dict(options), folder=folder),
    fix="fix the path (it is relative to knowflow.yaml), or use kind: dense",
)
