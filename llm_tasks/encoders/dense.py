"""The dense encoder: a frozen sentence-transformers model, its token states pooled as chosen.

Relations: lexical keeps names and rare words that a small dense model averages away; docs/decisions.md has figures.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from llm_tasks.encoders.minilm import minilm_folder
from llm_tasks.encoders.protocol import PoolingName
from sources.progress import Progress


class DenseEncoder:
    """Encodes with a sentence-transformers model on the CPU or, where there is one, the GPU.

    Args:
        model: `all-MiniLM-L6-v2`, or the folder of a sentence-transformers model.
        pooling: How token states become one vector.
        max_tokens: Longer texts are cut here.
        batch_size: Texts in one forward pass.
        folder: What a relative path is relative to; the folder of knowflow.yaml.

    Raises:
        FileNotFoundError: The model's folder holds no weights or no config.json.
        ValueError: The model cannot read that many tokens.
    """

    def __init__(
        self, model: str, pooling: PoolingName, max_tokens: int, batch_size: int, folder: Path | None = None
    ) -> None:
        self._folder = minilm_folder() if model == "all-MiniLM-L6-v2" else (folder or Path()) / model
        self._pooling: PoolingName = pooling
        self._max_tokens, self._batch_size = max_tokens, batch_size
        if not any(self._folder.rglob("*.safetensors")):
            raise FileNotFoundError(f"model '{model}': {self._folder} holds no .safetensors weights")
        # From the model's files, so that nothing is loaded when nothing is new.
        about = json.loads((self._folder / "config.json").read_text())
        self.dimension = int(about["hidden_size"])
        longest = int(about.get("max_position_embeddings", max_tokens))
        if max_tokens > longest:
            raise ValueError(f"model '{model}': max_tokens is {max_tokens}, the model reads at most {longest}")
        self.fingerprint = self._hash()

    @cached_property
    def _transformer(self) -> Any:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the folder holds everything: no model hub is asked
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds, and a plan needs none
        from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

        disable_progress_bar()  # the caller draws its own bars
        model = SentenceTransformer(str(self._folder))
        module: Any = model[0]
        module.auto_model.eval()
        return module

    def _hash(self) -> str:
        """Hash of the weights, the tokenizer and the pooling; the batch size is no part of it."""
        digest = hashlib.sha256(f"{self._pooling}/{self._max_tokens}".encode())
        for path in sorted([*self._folder.rglob("*.safetensors"), *self._folder.rglob("tokenizer.json")]):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:32]

    def encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        """Encode texts: [n] -> [n, d] float32, each of length one."""
        import torch  # noqa: PLC0415 - see above

        from llm_tasks.encoders.pooling import pool  # noqa: PLC0415

        module = self._transformer
        order = np.argsort([-len(text) for text in texts], kind="stable")  # alike lengths together: little padding
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            tokens = module.tokenizer(
                [texts[i] for i in chosen],
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            ).to(module.auto_model.device)
            with torch.inference_mode():
                states = module.auto_model(**tokens, output_hidden_states=True).hidden_states
                pooled = pool(states, tokens["attention_mask"], self._pooling)  # [B, d]
                out[chosen] = torch.nn.functional.normalize(pooled, dim=1).float().cpu().numpy()
            progress("encoding (dense)", min(start + self._batch_size, len(order)), len(order))
        return out
