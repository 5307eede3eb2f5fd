"""Encoding speed on the example's texts: what padding costs, and what other ways to compute the vectors cost and lose.

Run:   nice .venv/bin/python benchmarks/keep.py encode_speed
       As without AVX-512: ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 ATEN_CPU_CAPABILITY=avx2
Reads: the texts of examples/movielens in its store (make demo); every 48th of each technique's, by default.
The last line printed is one JSON object. Ways are compared on the same batches, on one thread: PyTorch's own linear
layers; those of the encoder (oneDNN); 16-bit floats; ONNX Runtime in float32, and in int8 with a scale a tensor and a
channel. Padding counts padded tokens over real ones. Lexical encoders are fitted on all texts; before in float64, on
all threads.
"""

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from app.config import load_config
from app.workplace import encoders_of, open_store
from base.progress import silent
from encoders.dense import DenseEncoder, masked_mean
from encoders.lexical import FEW_TEXTS, MOST_TERMS, LexicalEncoder
from engines.model_folder import minilm_folder
from engines.ray.config import ExecutorConfig
from llm_tasks.pipeline.encode import ENCODED_AT_ONCE, task_texts

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"
BATCH, REPEATS = 32, 3
FIELDS = ("input_ids", "attention_mask", "token_type_ids")
Batch = dict[str, torch.Tensor]


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--every", type=int, default=48)
    said = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(said.config)
    texts = {name: list(task_texts(open_store(config), name).values()) for name in config.tasks}
    texts = {name: some for name, some in texts.items() if some and encoders_of(config, name)}
    encoder = DenseEncoder("all-MiniLM-L6-v2", "mean", 256, BATCH)
    found = {"isa": torch.backends.cpu.get_cpu_capability(), "bf16": torch.cpu._is_avx512_bf16_supported()}
    found |= {"padding": padding(encoder, list(texts.values()))}
    found |= ways(encoder, [text for some in texts.values() for text in some[:: said.every]])
    print(json.dumps(found | lexical(texts)))


def padding(encoder: DenseEncoder, of_each: Sequence[Sequence[str]]) -> dict[str, float]:
    """Count padded tokens over real ones, for several ways to choose what is sorted together.

    Returns:
        Ways: nothing sorted; blocks, as actors on Ray got them; windows, as the pipeline encodes; a whole technique.
    """
    sizes = [np.array([len(one["input_ids"]) for one in encoder._tokens(some)]) for some in of_each]
    real = sum(int(of.sum()) for of in sizes)
    together = {"unsorted": 1, "blocks": ExecutorConfig().rows_a_block, "windows": ENCODED_AT_ONCE, "whole": 1 << 60}
    found = {name: sum(padded(of, size) for of in sizes) / real for name, size in together.items()}
    print("padded tokens over real ones: " + ", ".join(f"{name} {share:.3f}" for name, share in found.items()))
    return found


def padded(tokens: np.ndarray, together: int) -> int:
    """Count the tokens of all batches, padding included, when so many texts are sorted together.

    Example:
        >>> padded(np.array([1] * 32 + [3] * 32), 64), padded(np.array([1, 3] * 32), 1)
        (128, 192)
    """
    ordered = np.concatenate([-np.sort(-tokens[start : start + together]) for start in range(0, len(tokens), together)])
    batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    return sum(int(batch.max()) * len(batch) for batch in batches)


def ways(encoder: DenseEncoder, texts: Sequence[str]) -> dict[str, Any]:
    """Measure CPU microseconds a token and the cosines with PyTorch's float32 vectors, for each way to compute."""
    batches, tokens = batched(encoder, texts)
    plain = SentenceTransformer(str(minilm_folder())).eval()[0].auto_model
    half = copy.deepcopy(plain).to(torch.bfloat16)
    with TemporaryDirectory() as folder:
        sessions = onnx_sessions(plain, batches[0], Path(folder))
        runs: dict[str, Callable[[], np.ndarray]] = {
            "torch": lambda: by_torch(plain, batches),
            "onednn": lambda: by_torch(encoder._modules[0].auto_model, batches),
            "bfloat16": lambda: by_torch(half, batches),
            **{name: (lambda session=session: by_onnx(session, batches)) for name, session in sessions.items()},
        }
        made, found = dict[str, np.ndarray](), dict[str, Any]()
        for name, run in runs.items():
            made[name], seconds = best(run)
            cosines = (made[name] * made["torch"]).sum(axis=1)
            found[name] = {
                "microseconds_a_token": seconds / tokens * 1e6,
                "worst_cosine": float(cosines.min()),
                "mean_cosine": float(cosines.mean()),
            }
            print(f"{name:16} {found[name]['microseconds_a_token']:5.0f} us a token, worst cosine {cosines.min():.5f}")
    for name in found:
        found[name]["faster"] = found["torch"]["microseconds_a_token"] / found[name]["microseconds_a_token"]
    return {"texts": len(texts), "tokens": tokens, "ways": found}


def batched(encoder: DenseEncoder, texts: Sequence[str]) -> tuple[list[Batch], int]:
    """Tokenize texts into padded batches, sorted by tokens; return the number of real tokens, too."""
    tokens = sorted(encoder._tokens(texts), key=lambda one: -len(one["input_ids"]))
    tokenizer = encoder._modules[0].tokenizer
    batches = [
        dict(tokenizer.pad(tokens[start : start + BATCH], return_tensors="pt"))
        for start in range(0, len(tokens), BATCH)
    ]
    return batches, sum(len(one["input_ids"]) for one in tokens)


def by_torch(model: Any, batches: Sequence[Batch]) -> np.ndarray:
    """Encode batches with a model of PyTorch: [n, d]."""
    with torch.inference_mode():
        return unit([(model(**batch).last_hidden_state.float(), batch["attention_mask"]) for batch in batches])


def by_onnx(session: Any, batches: Sequence[Batch]) -> np.ndarray:
    """Encode batches with a session of ONNX Runtime: [n, d]."""
    names = [one.name for one in session.get_inputs()]
    states = [session.run(None, {name: batch[name].numpy() for name in names})[0] for batch in batches]
    return unit([(torch.from_numpy(one), batch["attention_mask"]) for one, batch in zip(states, batches, strict=True)])


def unit(states: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
    """Pool token states of batches to vectors of norm 1: [n, d]."""
    pooled = torch.cat([masked_mean(of, mask) for of, mask in states])
    return torch.nn.functional.normalize(pooled, dim=1).numpy()


class LastStates(torch.nn.Module):
    """Wraps a model so that it returns the last layer's states alone, as an export needs."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
        """Return states: [B, T] -> [B, T, d]."""
        said = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        return self.model(**said).last_hidden_state


def onnx_sessions(model: Any, example: Batch, folder: Path) -> dict[str, Any]:
    """Export a model; return sessions of ONNX Runtime with it in float32 and in two kinds of int8."""
    import onnxruntime  # noqa: PLC0415 - an extra
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    whole = copy.deepcopy(model)
    whole.set_attn_implementation("eager")
    axes = {name: {0: "batch", 1: "tokens"} for name in (*FIELDS, "states")}
    files = {"onnx": folder / "float32.onnx"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            LastStates(whole).eval(),
            tuple(example[name] for name in FIELDS),
            files["onnx"],
            input_names=list(FIELDS),
            output_names=["states"],
            dynamic_axes=axes,
            dynamo=False,
        )
    for name, by_channel in (("onnx_int8", False), ("onnx_int8_channels", True)):
        files[name] = folder / f"{name}.onnx"
        quantize_dynamic(files["onnx"], files[name], weight_type=QuantType.QInt8, per_channel=by_channel)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return {name: onnxruntime.InferenceSession(str(file), options) for name, file in files.items()}


def best(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """Run a function once to warm up and then several times; return its result, and its lowest CPU seconds."""
    made = work()
    return made, min(timed(work)[1] for _ in range(REPEATS))


def lexical(texts: dict[str, list[str]]) -> dict[str, Any]:
    """Measure the lexical encoders: the cost of a fit, and the difference of the cosines between texts."""
    before, now, apart = 0.0, 0.0, 0.0
    for some in texts.values():
        old, taken = timed(lambda some=some: fit_before(some))
        new, took = timed(lambda some=some: LexicalEncoder.fit(some, 384))
        first, other = (one[:500] for one in (old, new.encode(some, silent)))
        before, now, apart = (
            before + taken,
            now + took,
            max(apart, float(np.abs(first @ first.T - other @ other.T).max())),
        )
    print(f"lexical  {before:.1f} CPU-seconds before, {now:.1f} now; cosines of texts move by {apart:.1e}")
    return {
        "lexical_cpu_seconds_before": round(before, 2),
        "lexical_cpu_seconds": round(now, 2),
        "lexical_cosines_apart": apart,
    }


def fit_before(texts: list[str]) -> np.ndarray:
    """Fit the old way: float64, on all threads. Return the texts' vectors, [n, d]."""
    rarest = 2 if len(set(texts)) >= FEW_TEXTS else 1
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=rarest, max_features=MOST_TERMS)
    weights = vectorizer.fit_transform(sorted(set(texts)))
    svd = TruncatedSVD(n_components=min(384, weights.shape[0] - 1, weights.shape[1] - 1), random_state=0).fit(weights)
    vectors = svd.transform(vectorizer.transform(texts))
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Run a function; return its result, and its CPU seconds."""
    begun = time.process_time()
    return work(), time.process_time() - begun


if __name__ == "__main__":
    main()
