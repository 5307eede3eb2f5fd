"""What the benchmarks of a real small model share: stages kept on disk, and rewrites sampled by the vllm engine."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from base.progress import Progress
from engines.model_folder import fingerprint
from engines.protocol import EngineConfig
from engines.request import Adapter, Request, answer_key, candidates_of
from engines.vllm.engine import VllmEngine
from engines.vllm.options import VllmOptions, find_model
from prompts.domain import Domain
from prompts.library import choose_prompt
from tuning.workfolder import read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
TOLD_EVERY = 20.0
"""Seconds between two lines of progress."""
ROWS_AT_ONCE = 48
"""Rows inside vLLM at once: on a CPU, vLLM 0.32 fails if it has to split the prompt of a row that has a seed, which it
does above 2,048 new tokens in one step."""
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""The system message that the template of SmolLM2 adds by itself."""
TEXT = {"type": "text"}


def arguments(name: str, scale: str) -> argparse.ArgumentParser:
    """Return the command line of a benchmark: the model, the folder of its stages, and its size.

    Args:
        name: Name of the benchmark, and of its folder.
        scale: What `--scale` makes smaller.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "SmolLM2-135M-Instruct", help="the model")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / name, help="folder of the stages")
    parser.add_argument("--scale", type=float, default=1.0, help=scale)
    return parser


class Stages:
    """The stages of a benchmark: each leaves a file or a folder, and its CPU-seconds, over all calls.

    Args:
        out: Folder of the stages.
    """

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out, self._spent = out, out / "seconds.json"

    @property
    def seconds(self) -> dict[str, float]:
        """Return the CPU-seconds of each stage."""
        return read_json(self._spent) if self._spent.is_file() else {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the CPU-seconds of what happens inside to a stage, even if it is interrupted."""
        begun = time.process_time()
        try:
            yield
        finally:
            spent = time.process_time() - begun
            write_json(self._spent, {**self.seconds, stage: round(self.seconds.get(stage, 0.0) + spent, 1)})
            print(f"{time.strftime('%H:%M:%S')}  {stage}: {spent:.0f} CPU-s", flush=True)

    def table(self, stage: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Read the table of a stage, or make it."""
        file = self._out / f"{stage}.parquet"
        if not file.is_file():
            with self.timed(stage):
                begun = file.with_suffix(".part")
                make().write_parquet(begun)
                begun.rename(file)
        return pl.read_parquet(file)

    def told(self, stage: str) -> Progress:
        """Return a function that prints how far a stage is, at most every `TOLD_EVERY` seconds."""
        last = [0.0]

        def tell(what: str, done: int, total: int) -> None:
            if time.monotonic() - last[0] > TOLD_EVERY:
                last[0] = time.monotonic()
                print(f"{time.strftime('%H:%M:%S')}  {stage}: {what} {done:,} of {total:,}", flush=True)

        return tell


def ready(folder: Path) -> bool:
    """Return whether a model was written completely: its tokenizer comes last."""
    return (folder / "tokenizer.json").is_file()


def with_system(model: Path, said: str, out: Path) -> Path:
    """Make a copy of a model's folder, with links to its weights, whose template adds another system message.

    Args:
        model: Folder of SmolLM2.
        said: The system message, without quotation marks.
        out: The new folder.

    Raises:
        ValueError: The template does not add the known system message.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file in model.resolve().iterdir():
        there = out / file.name
        if file.suffix == ".jinja":
            text = file.read_text(encoding="utf-8")
            if SYSTEM not in text:
                raise ValueError(f"{file} does not hold: {SYSTEM}")
            there.write_text(text.replace(SYSTEM, said), encoding="utf-8")
        elif not there.exists():
            there.symlink_to(file)
    return out


class Sampler:
    """Samples rewrites with the vllm engine.

    Args:
        model: Folder of the model.
        domain: The words of the domain.
    """

    def __init__(self, model: Path, domain: Domain) -> None:
        self._model, self._domain = model, domain

    def sample(self, queries: pl.DataFrame, count: int, temperature: float, adapter: Path | None) -> pl.DataFrame:
        """Sample rewrites.

        Args:
            queries: query and shown.
            count: Rewrites of each query.
            temperature: Of the sampling.
            adapter: Folder of the adapter that is served; None = the plain model.

        Returns:
            query, and rewrites: the first line of each answer, in the order of the seeds.
        """
        options = VllmOptions(dtype="float32", enforce_eager=True, max_model_len=512, in_flight=ROWS_AT_ONCE)
        engine = VllmEngine(find_model(EngineConfig(name="vllm", model=str(self._model)), Path()), options)
        served = Adapter(adapter.name, fingerprint(adapter), str(adapter.resolve())) if adapter else None
        prompt, asked = choose_prompt("query_to_rewrite"), dict[str, tuple[str, int]]()
        sampling = {**prompt.front.sampling, "temperature": temperature, "max_tokens": 16}
        requests: list[Request] = []
        for query, shown in queries.select("query", "shown").iter_rows():
            messages = tuple(prompt.render({"query": shown}, self._domain))
            key = answer_key(messages, engine.identity, sampling, TEXT)
            several = candidates_of(Request(key, messages, sampling, TEXT, served), engine.identity, count)
            asked |= {one.key: (query, number) for number, one in enumerate(several)}
            requests += several
        written: dict[str, list[str]] = {query: [""] * count for query in queries["query"]}
        for done, answer in enumerate(engine.generate(requests), 1):
            query, number = asked[answer.key]
            written[query][number] = first_line(answer.text)
            if done % 100 == 0:
                print(f"{time.strftime('%H:%M:%S')}  {done:,} of {len(requests):,} rewrites", flush=True)
        return pl.DataFrame({"query": list(written), "rewrites": list(written.values())})


def first_line(text: str | None) -> str:
    """Return the first line of an answer; nothing if there is none.

    Example:
        >>> first_line(" space opera \\nor westerns"), first_line(None)
        ('space opera', '')
    """
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
