"""Teach SmolLM2-135M-Instruct who likes what (RecGen of LLM-CF): what does each way of tuning learn, and forget?

Run:   python benchmarks/recgen.py [--model models/SmolLM2-135M-Instruct] [--out FOLDER] [--scale 1.0]
Reads: examples/movielens: training events, titles and genres, the recorded texts about films.
The arms are those of the paper's table (arXiv 2403.17688): LoRA and full tuning on all recommendation rows; R3F, which
is full tuning with noise; Wise-FT, the weights halfway between before and after full tuning; and RecGen, full tuning on
half of the recommendation rows and as many general instructions. The instructions are the recorded texts about films.
Each arm is measured on recommendation rows that none has learned (AUC of log P(yes) - log P(no)), and on a general test
that none has learned either: 200 questions about catalogue entries whose answer stands in the question. A model that
has forgotten everything else answers them with yes or no. Stages are kept in FOLDER; a second call goes on after the
last finished one. The last line printed is one JSON object.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from rewriting import EXAMPLE
from sklearn.metrics import roc_auc_score
from small_model import Stages, arguments, ready

from app.config import load_config
from app.workplace import open_dataset
from evals.intervals import percentile_interval
from prompts.domain import load_domain
from sources.tables import Dataset
from tuning.base import Base, find_base, load_weights, merge, save
from tuning.config import StepConfig
from tuning.conversations import Conversation, digest
from tuning.forgetting import interpolated
from tuning.mixture import INSTRUCTIONS, RECOMMENDATION, Mixture
from tuning.packing import collate
from tuning.recommendation import answers, choose_rows, write_rows
from tuning.supervised import tune
from tuning.tokens import as_data, tokenise

ROWS, HELD_OUT, QUESTIONS = 400, 400, 200
"""Recommendation rows that an arm learns (RecGen: half of them), and how many measure it; questions of the test."""
HISTORY = 5
"""Earlier events in a row: few, because every one costs about 15 tokens."""
LONGEST = 384
"""Tokens of a row of a batch."""
TUNING = StepConfig(
    learning_rate=1e-4, row_tokens=LONGEST, batch_rows=4, rows_at_once=1, share_prompts=True, save_every=20
)
FULL = TUNING.model_copy(update={"method": "full", "learning_rate": 2e-5})
ARMS: dict[str, StepConfig] = {
    "lora": TUNING,
    "full": FULL,
    "r3f": FULL.model_copy(update={"noise_weight": 1.0}),
    "recgen": FULL,
}
BETWEEN = 0.5
"""Wise-FT's share of the tuned weights."""
WORDS = 16
"""Longest answer to a question, in tokens."""
REPLICATES = 2_000


def measure(model: Path, out: Path, scale: float) -> dict[str, Any]:
    """Run all stages that are not finished, and return the figures."""
    stages, base = Stages(out), find_base(model, {})
    config = load_config(EXAMPLE / "knowflow.yaml")
    dataset, domain = open_dataset(config), load_domain(config.domain, config.folder)
    choice = choose_rows(dataset, domain, 0.5, HISTORY, seed=0)
    count, held_out = round(ROWS * scale), round(HELD_OUT * scale)
    recommended = write_rows(choice, choice.learnt[:count], dataset, domain)
    unseen = write_rows(choice, choice.kept[:held_out], dataset, domain)
    films = shuffled(dataset)
    general, asked = instructions(films.tail(-QUESTIONS), count // 2), questions(films.head(round(QUESTIONS * scale)))
    newest = str(choice.events["time"].gather(choice.learnt[:count]).max())
    mixtures = {arm: mixed(recommended, [], newest) for arm in ARMS}
    mixtures["recgen"] = mixed(recommended[: count // 2], general, newest)
    folders = {"untuned": model}
    for arm, settings in ARMS.items():
        with stages.timed(arm):
            tune(base, mixtures[arm], settings, out / arm, stages.told(arm), resume=True)
            folders[arm] = whole(base, settings, out / arm)
    folders["wise_ft"] = between(base, folders["full"], out / "wise_ft")
    found = {
        arm: stages.table(f"measured-{arm}", lambda f=folder: measured(find_base(f, {}), unseen, asked))
        for arm, folder in folders.items()
    }
    liked = np.array([said[-1]["content"] == answers()[0] for said in unseen])
    return {
        **{arm: figures(table, liked) for arm, table in found.items()},
        "over": {
            f"{arm} over {other}": gains(found[arm], found[other], liked)
            for arm, other in ((arm, other) for other in ("untuned", "full") for arm in found if arm != other)
        },
        "rows": count,
        "held_out": len(unseen),
        "questions": len(asked),
        "cpu_seconds": stages.seconds,
        "scale": scale,
    }


def mixed(recommended: Sequence[Conversation], general: Sequence[Conversation], newest: str) -> Mixture:
    """Mix the rows of an arm in random order."""
    rows, kinds = [*recommended, *general], [RECOMMENDATION] * len(recommended) + [INSTRUCTIONS] * len(general)
    order = np.random.default_rng(0).permutation(len(rows))
    facts = {RECOMMENDATION: {"rows": len(recommended), "digest": digest(recommended), "newest_event": newest}}
    more = {INSTRUCTIONS: {"rows": len(general), "digest": digest(general)}} if general else {}
    return Mixture([rows[place] for place in order], [kinds[place] for place in order], [], {**facts, **more})


def shuffled(dataset: Dataset) -> pl.DataFrame:
    """Return the films with a recorded text, a year and genres, in random order."""
    recorded = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet")
    texts = recorded.select(pl.col("item_id").cast(pl.String).alias("item"), "answer")
    whole = dataset.items.drop_nulls("year").filter(pl.col("genres").list.len() > 0)
    return whole.join(texts, on="item").sort("item").sample(fraction=1.0, shuffle=True, seed=0)


def instructions(films: pl.DataFrame, count: int) -> list[Conversation]:
    """Write general instructions: tell about a film, in the words of the recorded text."""
    rows = films.select("title", pl.col("year").cast(pl.Int64), "answer").head(count).iter_rows()
    return [said(f"Tell me about the film {title} ({year}).", answer) for title, year, answer in rows]


def questions(films: pl.DataFrame) -> list[Conversation]:
    """Write a question about each film, of four kinds in turn; the answer stands in the question."""
    found: list[Conversation] = []
    rows = films.select("title", pl.col("year").cast(pl.Int64), "genres").iter_rows()
    for place, (title, year, genres) in enumerate(rows):
        entry = f"Title: {title}. Year: {year}. Genres: {', '.join(genres)}."
        asked = (
            (f"{entry} Which year is this film from? Answer with the year alone.", str(year)),
            (f"{entry} What is the first of its genres? Answer with the genre alone.", genres[0]),
            (f"{entry} What is its title? Answer with the title alone.", title),
            (f"{entry} Write its title in capital letters. Answer with the title alone.", title.upper()),
        )
        found.append(said(*asked[place % len(asked)]))
    return found


def said(question: str, answer: str) -> Conversation:
    """Make a conversation of a question and its answer."""
    return {"role": "user", "content": question}, {"role": "assistant", "content": answer}


def whole(base: Base, settings: StepConfig, tuned: Path) -> Path:
    """Return the folder of a tuned model; an adapter is merged into one."""
    if settings.method == "full":
        return tuned
    merged = tuned.with_name(f"{tuned.name}-merged")
    if not ready(merged):
        merge(base, tuned, merged)
    return merged


def between(base: Base, tuned: Path, out: Path) -> Path:
    """Write the model between the base and a tuned one (Wise-FT)."""
    if not ready(out):
        model = load_weights(base.folder)
        model.load_state_dict(interpolated(model.state_dict(), load_weights(tuned).state_dict(), BETWEEN))
        save(model, base, out)
    return out


def measured(base: Base, unseen: Sequence[Conversation], asked: Sequence[Conversation]) -> pl.DataFrame:
    """Measure one model: a row for each held-out event (`score`) and for each question (`right`)."""
    model = load_weights(base.folder).eval()
    scores, right = likes(model, base, unseen), answered(model, base, asked)
    return pl.DataFrame({"score": [*scores, *[None] * len(right)], "right": [*[None] * len(scores), *right]})


@torch.inference_mode()
def likes(model: Any, base: Base, rows: Sequence[Conversation]) -> list[float]:
    """Return log P(yes) - log P(no) of each row, by the first tokens of the two answers."""
    found: list[float] = []
    for row in rows:
        pair = [
            tokenise(base.tokens, (*as_data(row[:-1], base.tokens), {"role": "assistant", "content": word}), base.ends)
            for word in answers()
        ]
        batch = collate([[pair[0]]], base.pad)
        del batch["labels"]
        yes, no = (int(one.ids[one.prompt]) for one in pair)
        logits = model(**batch).logits[0, 0]
        found.append(float(logits[yes] - logits[no]))
    return found


@torch.inference_mode()
def answered(model: Any, base: Base, asked: Sequence[Conversation], at_once: int = 25) -> list[bool]:
    """Return whether the model's most likely answer to each question holds the expected one."""
    tokenizer, found = base.tokens.tokenizer, list[bool]()
    for start in range(0, len(asked), at_once):
        part = asked[start : start + at_once]
        prompts = [base.tokens.ids(as_data(one[:-1], base.tokens)) for one in part]
        longest = max(map(len, prompts))
        ids = torch.tensor([[base.pad] * (longest - len(one)) + one for one in prompts])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
        made = model.generate(
            ids, attention_mask=mask, max_new_tokens=WORDS, do_sample=False, use_cache=True, pad_token_id=base.pad
        )
        texts = tokenizer.batch_decode(made[:, longest:], skip_special_tokens=True)
        found += [one[-1]["content"] in text for one, text in zip(part, texts, strict=True)]
    return found


def gains(arm: pl.DataFrame, other: pl.DataFrame, liked: np.ndarray) -> dict[str, Mapping[str, float | None]]:
    """Return the gains of a model over another one on the same rows and questions, with intervals."""
    replicates = [replicated(table, liked) for table in (arm, other)]
    return {
        name: named(one[0] - before[0], one[1] - before[1])
        for (name, one), before in zip(replicates[0].items(), replicates[1].values(), strict=True)
    }


def named(mean: float, replicates: np.ndarray) -> dict[str, float | None]:
    """Return a mean with its interval."""
    return dict(zip(("mean", "low", "high"), (mean, *percentile_interval(replicates)), strict=True))


def figures(table: pl.DataFrame, liked: np.ndarray) -> dict[str, Mapping[str, float | None]]:
    """Return the AUC and the share of right answers, with intervals over rows and over questions."""
    return {name: named(*both) for name, both in replicated(table, liked).items()}


def replicated(table: pl.DataFrame, liked: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """Return both figures, each with its value under every resample; all models get the same resamples."""
    score, right = table["score"].drop_nulls().to_numpy(), table["right"].drop_nulls().cast(pl.Float64).to_numpy()
    chance = np.random.default_rng(0)
    draws = [chance.integers(0, len(score), len(score)) for _ in range(REPLICATES)]
    aucs = np.array([roc_auc_score(liked[of], score[of]) if 0 < liked[of].sum() < len(of) else np.nan for of in draws])
    shares = right[chance.integers(0, len(right), (REPLICATES, len(right)))].mean(axis=1)
    return {"auc": (float(roc_auc_score(liked, score)), aucs), "general": (float(right.mean()), shares)}


def main() -> None:
    """Read the command line, measure, and print the figures."""
    given = arguments("recgen", "share of the rows and questions").parse_args()
    print(json.dumps(measure(given.model, given.out, given.scale)))


if __name__ == "__main__":
    main()
