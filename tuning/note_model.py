"""The encoder to tune on notes: a sentence encoder or a language model, followed by a linear projection."""

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from base.faults import WrongUse
from encoders.dense import pool
from encoders.protocol import PoolingName
from prompts.notes import Wrapping
from tuning.base import load_weights
from tuning.config import ContrastiveConfig
from tuning.packing import NOT_LEARNT

SavedPooling = Literal["mean", "cls", "lasttoken"]
POOLINGS: Mapping[SavedPooling, PoolingName] = {"mean": "mean", "cls": "cls", "lasttoken": "last_token"}
"""Supported poolings of sentence-transformers."""


class NoteModel(nn.Module):
    """Encodes notes and, if it is a language model, generates the text after them, in one forward pass.

    Args:
        core: The transformer without a head.
        head: The language model's last layer; None for an encoder, which generates nothing.
        tokenizer: Tokenizer of the model.
        pooling: Name of the pooling in sentence-transformers; a language model's is `lasttoken`.
        wrapping: The text around notes; None for an encoder.
        config: Options of the tuning.
        longest: Maximum tokens of a prompt.
    """

    def __init__(
        self,
        core: Any,
        head: nn.Module | None,
        tokenizer: Any,
        pooling: SavedPooling,
        wrapping: Wrapping | None,
        config: ContrastiveConfig,
        longest: int,
    ) -> None:
        super().__init__()
        width = int(core.config.hidden_size)
        self.core, self.head, self.tokenizer = core, head, tokenizer
        self.pooling: SavedPooling = pooling
        self.wrapping, self.longest = wrapping, longest
        self.precision = config.precision
        self.projection = nn.Linear(width, config.dimension or width, bias=False)
        if config.dimension in (0, width):
            nn.init.eye_(self.projection.weight)
        self.tau = nn.Parameter(torch.tensor(float(config.tau)))

    @torch.no_grad()
    def begin_with_main_directions(self, states: Tensor) -> None:
        """Initialise a projection to fewer dimensions with the directions in which notes differ most.

        Args:
            states: [N, width] pooled states of the notes that may be learned, N at least the new dimension.
        """
        size = self.projection.out_features
        directions = torch.linalg.svd(nn.functional.normalize(states.float(), dim=1), full_matrices=False)[2]
        self.projection.weight.copy_(directions[:size])  # [size, width]; rows are orthonormal

    @property
    def pad(self) -> int:
        """Return the padding token; it is never attended to."""
        known = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if known is None else known

    def prompt(self, note: str) -> list[int]:
        """Return the tokens of a note as it is encoded.

        Raises:
            WrongUse: The end of a language model's prompt would be cut off, or its tokenizer adds its own end token:
                the vector would be the state of the wrong token.
        """
        text = self.wrapping.wrap(note, self.tokenizer) if self.wrapping else note
        ids = self.tokenizer(text, truncation=True, max_length=self.longest)["input_ids"]
        if self.wrapping and len(ids) == self.longest:
            raise WrongUse(f"--model: it reads {self.longest} tokens, too few for the prompt\n  use another one")
        if self.wrapping and ids[-1] == self.tokenizer.eos_token_id:
            raise WrongUse("--model: its tokenizer ends every text with eos_token\n  set add_eos_token to false")
        return ids

    def pooled(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Encode a `collate_notes` batch without projection: states [B, width], and the summed generation loss []."""
        given = {name: batch[name] for name in ("input_ids", "attention_mask")}
        if self.wrapping is not None:
            given |= {"position_ids": batch["position_ids"], "use_cache": False}
        with self._autocast():
            states = self.core(**given).last_hidden_state  # [B, T, width]
        if self.wrapping is None:
            return pool([states], batch["attention_mask"], POOLINGS[self.pooling]), states.new_zeros(())
        found = states[torch.arange(len(states), device=states.device), batch["places"]]
        return found, self._generated(states, batch["labels"])

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Encode a batch of `collate_notes`: vectors [B, d], and the summed generation loss []."""
        pooled, generated = self.pooled(batch)
        return self.projection(pooled.float()), generated

    @torch.no_grad()
    def write(self, batch: Mapping[str, Tensor], longest: int) -> Tensor:
        """Continue notes with the most likely token each time.

        Args:
            batch: A batch of `collate_notes`, padded on the left, so that all rows end together.
            longest: Maximum number of tokens.

        Returns:
            [B, up to `longest`] tokens; a row's end token is followed only by end tokens.

        Raises:
            ValueError: It is not a language model.
        """
        if self.head is None:
            raise ValueError("an encoder writes nothing")
        shown, mask, positions = (batch[name] for name in ("input_ids", "attention_mask", "position_ids"))
        end, past, written = self.tokenizer.eos_token_id, None, list[Tensor]()
        going = torch.ones(len(shown), dtype=torch.bool, device=shown.device)
        while len(written) < longest and bool(going.any()):
            with self._autocast():
                found = self.core(
                    input_ids=shown, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True
                )
                token = self.head(found.last_hidden_state[:, -1]).argmax(dim=-1)  # [B]
            written.append(token.masked_fill(~going, end))
            going = going & (token != end)
            shown, past, positions = written[-1][:, None], found.past_key_values, positions[:, -1:] + 1
            mask = torch.cat([mask, torch.ones_like(shown)], dim=1)
        return torch.stack(written, dim=1)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.tau.device.type, dtype=torch.bfloat16)

    def _generated(self, states: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of the learned tokens; the head runs only where they are predicted."""
        learnt = labels[:, 1:] != NOT_LEARNT  # [B, T - 1]
        if self.head is None or not bool(learnt.any()):
            return states.new_zeros(())
        with self._autocast():
            logits = self.head(states[:, :-1][learnt])  # [K, V]
        return nn.functional.cross_entropy(logits.float(), labels[:, 1:][learnt], reduction="sum")


def load_note_model(folder: Path, wrapping: Wrapping | None, config: ContrastiveConfig) -> NoteModel:
    """Load the model to tune: a sentence-transformers folder, or a language model's.

    Args:
        folder: Its folder.
        wrapping: The text around the notes of a language model.
        config: Options of the tuning.

    Raises:
        WrongUse: The folder has neither, or the model cannot be tuned.
    """
    torch.manual_seed(config.seed)
    if (folder / "modules.json").is_file():
        model = _load_encoder(folder, config)
    elif wrapping is None:
        raise WrongUse(f"--model: {folder} has no modules.json of sentence-transformers\n  give another folder")
    else:
        model = _load_language_model(folder, wrapping, config)
    _choose_weights(model, config)
    return model.eval()  # without dropout, so that a note always has the same vector


def _load_encoder(folder: Path, config: ContrastiveConfig) -> NoteModel:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the folder has everything: do not contact a model hub
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds

    whole = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    parts: list[Any] = list(whole)
    kinds = [type(part).__name__ for part in parts]
    pooling: Any = parts[1].pooling_mode if kinds[1:2] == ["Pooling"] else "none"
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - {"Normalize"} or pooling not in POOLINGS:
        raise WrongUse(
            f"--model: {folder} consists of {', '.join(kinds)} with pooling {pooling}\n"
            f"  give one of Transformer, Pooling ({', '.join(POOLINGS)}) and optionally Normalize"
        )
    longest = min(config.max_tokens, int(parts[0].max_seq_length or config.max_tokens))
    return NoteModel(parts[0].auto_model, None, whole.tokenizer, pooling, None, config, longest)


def _load_language_model(folder: Path, wrapping: Wrapping, config: ContrastiveConfig) -> NoteModel:
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds

    model = load_weights(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    if tokenizer.eos_token_id is None:
        raise WrongUse(f"--model: the tokenizer of {folder} has no eos_token to end an output\n  add one")
    longest = min(int(model.config.max_position_embeddings), int(tokenizer.model_max_length))
    return NoteModel(model.base_model, model.get_output_embeddings(), tokenizer, "lasttoken", wrapping, config, longest)


def _choose_weights(model: NoteModel, config: ContrastiveConfig) -> None:
    """Choose the weights to tune: always the projection, and the temperature unless its rate is 0."""
    model.requires_grad_(config.method == "full")
    if config.method == "lora":
        settings = LoraConfig(r=config.rank, lora_alpha=2 * config.rank, target_modules="all-linear")
        model.core = get_peft_model(model.core, settings)
    elif config.method == "full":
        _freeze(model.core, config.frozen_layers)
    model.projection.requires_grad_()
    model.tau.requires_grad_(config.tau_rate > 0)


def _freeze(core: Any, count: int) -> None:
    """Freeze everything before a layer: the embeddings and the lowest layers of a transformer.

    Raises:
        WrongUse: It does not have more layers than that.
    """
    if count == 0:
        return
    total = int(core.config.num_hidden_layers)
    layers = next((part for part in core.modules() if isinstance(part, nn.ModuleList) and len(part) == total), None)
    if layers is None or count >= total:
        raise WrongUse(f"--frozen-layers: {count} of {total} layers\n  freeze fewer, or use --method projection")
    first = next(layers[count].parameters())
    for weight in core.parameters():  # in the order in which a text passes through them
        if weight is first:
            return
        weight.requires_grad_(False)


def export(model: NoteModel, folder: Path, work: Path) -> None:
    """Write a folder that sentence-transformers and vLLM's pooling runner can read; an adapter is merged first.

    Args:
        model: The tuned model; it cannot be tuned further afterwards.
        folder: The target folder.
        work: A folder for temporary files.
    """
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds
    from sentence_transformers.sentence_transformer.modules import (  # noqa: PLC0415
        Dense,
        Normalize,
        Pooling,
        Transformer,
    )

    if isinstance(model.core, PeftModel):
        merged: Any = model.core
        model.core = merged.merge_and_unload()
    model.core.config.use_cache = True  # the usual default; it was off only for tuning
    bare = work / "core"
    model.core.save_pretrained(str(bare))
    model.tokenizer.padding_side, model.tokenizer.chat_template = "right", None  # a note is not a chat
    model.tokenizer.save_pretrained(str(bare))
    size, width = model.projection.weight.shape
    dense = Dense(width, size, bias=False, activation_function=nn.Identity(), init_weight=model.projection.weight.data)
    parts = [Transformer(str(bare), max_seq_length=model.longest), Pooling(width, pooling_mode=model.pooling)]
    SentenceTransformer(modules=[*parts, dense, Normalize()], device="cpu").save(str(folder), create_model_card=False)
    _forget_paths(folder, bare)


def _forget_paths(folder: Path, bare: Path) -> None:
    """Remove this machine's path from the written files; with it, one encoder would have many fingerprints."""
    for file in folder.rglob("*.json"):
        text = file.read_text(encoding="utf-8")
        if str(bare) in text:
            file.write_text(text.replace(json.dumps(str(bare))[1:-1], "core"), encoding="utf-8")


def wrapping_facts(wrapping: Wrapping | None) -> dict[str, Any] | None:
    """Return a wrapping in the form of knowflow_tuning.json."""
    return asdict(wrapping) if wrapping else None
