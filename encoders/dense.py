"""The dense encoder: a frozen sentence-transformers model with a choice of pooling.

Relations: lexical keeps names and rare words that a small dense model averages away; docs/decisions.md has figures.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from base.faults import WrongUse
from base.files import sha256_of
from base.frozen import Frozen
from base.progress import Progress, silent
from encoders.protocol import EncoderKind, PoolingName
from encoders.saved import read_tuned, saved_pooling
from engines.model_folder import minilm_folder
from engines.seen import FILE

if TYPE_CHECKING:  # torch takes seconds to import, and a plan needs none
    from torch import Tensor


Precision = Literal["float32", "bfloat16"]
AGREE = 0.99
"""Least cosine of a vector with that of float32."""
COMPARED = 32
"""Texts whose vectors are compared."""
SHOWN = 80
"""Characters of a text in a message."""


class DenseOptions(Frozen):
    """Settings of an encoder of kind dense."""

    model: str = "all-MiniLM-L6-v2"
    """`all-MiniLM-L6-v2` (from a package, no download), or the folder of a sentence-transformers model."""
    pooling: PoolingName = "mean"
    """How token states are pooled into one vector."""
    max_tokens: int = Field(default=256, ge=8)
    """Maximum tokens of a text; longer texts are truncated."""
    batch_size: int = Field(default=32, ge=1)
    """Texts in one forward pass; never changes a vector."""
    precision: Precision = "float32"
    """Number format of the products. `bfloat16` is half as fast again on a processor that multiplies it (AVX512-BF16 or
    AMX) or a GPU, and refused elsewhere. Its vectors differ slightly and are never mixed with others; a run stops if
    those of its first texts are not nearly those of float32 (cosine 0.99)."""


class DenseEncoder:
    """Encodes with a sentence-transformers model on the GPU if there is one, else on the CPU.

    Args:
        model: `all-MiniLM-L6-v2`, or the folder of a sentence-transformers model.
        pooling: How token states are pooled into one vector.
        max_tokens: Maximum tokens of a text; longer texts are truncated.
        batch_size: Texts in one forward pass.
        folder: Base of a relative path; the folder of knowflow.yaml.
        precision: Number format of the products.

    Raises:
        FileNotFoundError: The model's folder has no weights or no config.json.
        ValueError: The model cannot read that many tokens, was tuned with another pooling, or does not record until
            when.
    """

    def __init__(
        self,
        model: str,
        pooling: PoolingName,
        max_tokens: int,
        batch_size: int,
        folder: Path | None = None,
        precision: Precision = "float32",
    ) -> None:
        self._base = folder
        self._folder = minilm_folder() if model == "all-MiniLM-L6-v2" else (folder or Path()) / model
        self._pooling: PoolingName = pooling
        self._max_tokens, self._batch_size = max_tokens, batch_size
        self._model, self._precision, self._compared = model, precision, precision == "float32"
        if not any(self._folder.rglob("*.safetensors")):
            raise FileNotFoundError(f"model '{model}': {self._folder} holds no .safetensors weights")
        # Read from the model's files, so that nothing is loaded if there are no new texts.
        about = json.loads((self._folder / "config.json").read_text())
        self.dimension = int(about["hidden_size"])
        longest = int(about.get("max_position_embeddings", max_tokens))
        if max_tokens > longest:
            raise ValueError(f"model '{model}': max_tokens is {max_tokens}, but the model reads at most {longest}")
        tuned = read_tuned(self._folder)
        self.seen_until, self._wrapping = tuned.seen_until, tuned.wrapping
        self._check_modules(model)
        self.fingerprint = self._hash()

    def _check_modules(self, model: str) -> None:
        """Check that a tuned model is used as it was tuned: with its own pooling and the modules after it."""
        self._after: int | None = None  # modules from here on follow the pooling
        if not (self._folder / FILE).is_file():
            return
        modules = json.loads((self._folder / "modules.json").read_text())
        said = json.loads((self._folder / modules[1]["path"] / "config.json").read_text())
        own = saved_pooling(said).replace("lasttoken", "last_token")
        if own != self._pooling:
            raise ValueError(
                f"model '{model}': it was tuned with pooling {own}, not {self._pooling}; set pooling: {own}"
            )
        for module in modules[2:]:
            if module["type"].endswith(".Dense"):
                config = json.loads((self._folder / module["path"] / "config.json").read_text())
                self.dimension = int(config["out_features"])
        self._after = 2

    @cached_property
    def _modules(self) -> Any:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the folder has everything: do not contact a model hub
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds, and a plan needs none
        from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

        from encoders.layers.onednn import check_bfloat16, use_onednn  # noqa: PLC0415 - imports torch

        disable_progress_bar()  # the caller draws its own bars
        modules: Any = SentenceTransformer(str(self._folder)).eval()
        if self._precision == "float32":
            use_onednn(modules[0].auto_model)
            return modules
        check_bfloat16(modules[0].auto_model.device.type)
        modules[0].auto_model.bfloat16()
        return modules

    def _hash(self) -> str:
        """Hash the weights, the tokenizer and the pooling, but not the batch size."""
        digest = hashlib.sha256(f"{self._pooling}/{self._max_tokens}".encode())
        if self._precision != "float32":
            digest.update(self._precision.encode())
        if (self._folder / FILE).is_file():  # two tunings that saw different events are two encoders
            digest.update(f"{self.seen_until}/{self._wrapping}".encode())
        for path in sorted([*self._folder.rglob("*.safetensors"), *self._folder.rglob("tokenizer.json")]):
            about = path.stat()
            digest.update(bytes.fromhex(_hashed(path, about.st_mtime_ns, about.st_size)))
        return digest.hexdigest()[:32]

    def encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        """Encode texts: [n] -> [n, d] float32, each of norm 1.

        Raises:
            WrongUse: Vectors of the first texts are not nearly those of float32, or nothing here multiplies bfloat16.
        """
        if texts and not self._compared:
            self._compare(texts[:COMPARED])
        return self._encode(texts, progress)

    def _compare(self, texts: Sequence[str]) -> None:
        """Raise `WrongUse` if vectors of this precision are not nearly those of float32."""
        whole = DenseEncoder(self._model, self._pooling, self._max_tokens, self._batch_size, self._base)
        wanted, found = whole._encode(texts, silent), self._encode(texts, silent)
        # A text without a token has no direction, whatever the precision.
        cosines = np.where(wanted.any(axis=1), (wanted * found).sum(axis=1), 1.0)
        if not (worst := float(cosines.min())) >= AGREE:  # a vector that is no number has no cosine
            text = texts[int(cosines.argmin())]
            raise WrongUse(
                f"model '{self._model}': with precision {self._precision} the vector of a text has a cosine of"
                f" {worst:.3f} with that of float32, at least {AGREE} is wanted: {text[:SHOWN]}\n"
                "  set precision: float32"
            )
        self._compared = True

    def _encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        import torch  # noqa: PLC0415 - see above

        module = self._modules[0]
        tokens = self._tokens(texts)
        # Batch texts of similar length: that needs almost no padding, which costs as much as any other token.
        order = np.argsort([-len(text["input_ids"]) for text in tokens], kind="stable")
        batches = [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]
        out, done = np.zeros((len(texts), self.dimension), dtype=np.float32), 0
        # One batch per core: threads within a batch wait for each other, and longer on a busy machine.
        threads = torch.get_num_threads()
        side_by_side = threads if module.auto_model.device.type == "cpu" else 1
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(side_by_side) as pool:
                vectors = pool.map(self._forward, ([tokens[i] for i in batch] for batch in batches))
                for batch, vector in zip(batches, vectors, strict=True):
                    out[batch] = vector
                    done += len(batch)
                    progress("encoding (dense)", done, len(order))
        finally:
            torch.set_num_threads(threads)
        return out

    def _tokens(self, texts: Sequence[str]) -> list[dict[str, list[int]]]:
        """Return each text's tokens as model arguments (`input_ids`, ...), cut at `max_tokens`, without padding."""
        if not texts:
            return []
        tokenizer = self._modules[0].tokenizer
        wrapped = [self._wrapping.wrap(text, tokenizer) for text in texts] if self._wrapping else list(texts)
        found = tokenizer(wrapped, truncation=True, max_length=self._max_tokens)
        return [dict(zip(found, fields, strict=True)) for fields in zip(*found.values(), strict=True)]

    def _forward(self, batch: Sequence[dict[str, list[int]]]) -> np.ndarray:
        """Encode one batch of texts' tokens: [B] -> [B, d]."""
        import torch  # noqa: PLC0415 - see above

        module = self._modules[0]
        torch.set_num_threads(1)  # a per-thread setting
        tokens = module.tokenizer.pad(list(batch), return_tensors="pt").to(module.auto_model.device)
        with torch.inference_mode():
            states = module.auto_model(**tokens, output_hidden_states=True).hidden_states
            if self._precision != "float32":
                states = [layer.float() for layer in states]
            pooled = pool(states, tokens["attention_mask"], self._pooling)  # [B, d]
            for place in range(self._after, len(self._modules)) if self._after else ():
                pooled = self._modules[place]({"sentence_embedding": pooled})["sentence_embedding"]
            return torch.nn.functional.normalize(pooled, dim=1).float().cpu().numpy()


@cache
def _hashed(path: Path, changed: int, size: int) -> str:
    """Hash a file once a process: a plan and a refresh build an encoder for every technique."""
    return sha256_of(path)


def pool(layers: "Sequence[Tensor]", mask: "Tensor", pooling: PoolingName) -> "Tensor":
    """Pool token states into one vector per text; padding is ignored.

    Source: Xi et al. 2023 (KAR), section 4.2; the published KAR code pools BERT states by the masked mean.

    Args:
        layers: Hidden states of every layer, [B, T, d] each, the embedding layer first.
        mask: [B, T], 1 for a token, 0 for padding.
        pooling: `mean`, `cls` and `last_token` read the last layer; `first_last_mean` averages the masked means of
            the first transformer layer and the last; `top_two_mean` those of the last two layers;
            `position_weighted_mean` weighs the t-th token of a text by t (SGPT, Muennighoff 2022, section 3.1).

    Returns:
        [B, d].
    """
    import torch  # noqa: PLC0415 - see above

    last = layers[-1]
    texts = torch.arange(len(last), device=last.device)
    if pooling == "cls":
        return last[texts, mask.argmax(dim=1)]  # the first real token, whichever side is padded
    if pooling == "last_token":
        places = torch.arange(mask.shape[1], device=mask.device) * mask  # [B, T]
        return last[texts, places.argmax(dim=1)]
    if pooling == "first_last_mean":
        return (masked_mean(layers[1], mask) + masked_mean(last, mask)) / 2
    if pooling == "top_two_mean":
        return (masked_mean(layers[-2], mask) + masked_mean(last, mask)) / 2
    if pooling == "position_weighted_mean":
        return masked_mean(last, mask.cumsum(dim=1) * mask)
    return masked_mean(last, mask)


def masked_mean(states: "Tensor", weights: "Tensor") -> "Tensor":
    """Return the weighted mean over tokens: [B, T, d], [B, T] -> [B, d]; a text without tokens gives zeros."""
    weights = weights.to(states.dtype).unsqueeze(-1)  # [B, T, 1]
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


DENSE = EncoderKind(
    name="dense",
    about="a sentence-transformers model in this process",
    options=DenseOptions,
    build=lambda options, folder: DenseEncoder(**dict(options), folder=folder),
    fix="fix the path (it is relative to knowflow.yaml), or use all-MiniLM-L6-v2",
)
