"""Rank the rewrites of a query with a model, and measure how well that agrees with their rewards."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn

from base.progress import Progress, silent
from prompts.domain import Domain
from prompts.library import SHIPPED, Library, choose_prompt
from tuning.base import Base
from tuning.config import TIED, RewriteConfig
from tuning.instructions import PROMPTS
from tuning.losses import answer_log_probability
from tuning.packing import NOT_LEARNT, collate
from tuning.sharing import collate_shared, mean_by_answer
from tuning.tokens import Example, Untold, as_data, tokenise

AT_ONCE = 8
"""Queries that pass through the model together in a measurement."""


@dataclass(frozen=True)
class Ranked:
    """Rewrites of one query with their rewards."""

    query: str
    """The query, normalised."""
    answers: tuple[Example, ...]
    """n rewrites, each with its prompt."""
    rewards: np.ndarray
    """[n] float32, 0 to 1."""


def rank_queries(
    judged: pl.DataFrame,
    reward: pl.Series,
    base: Base,
    domain: Domain,
    config: RewriteConfig,
    library: Library = SHIPPED,
) -> tuple[list[Ranked], Counter[str]]:
    """Turn judged rewrites into tokens, the first `config.candidates` of each query.

    Args:
        judged: query, shown, rewrite and place, sorted by query and place.
        reward: [n] Float64, from `rejection.rewards`.
        base: The model.
        domain: The words of the domain.
        config: Number of candidates and longest row.
        library: Where the prompt is looked for.

    Returns:
        Queries with at least two rewrites of different rewards, and counts of the reasons why others were left out.
    """
    prompt = choose_prompt(PROMPTS["rewrite"], library=library)
    room = min(config.row_tokens, base.tokens.longest or config.row_tokens)
    left_out: Counter[str] = Counter()
    found: list[Ranked] = []
    table = judged.with_columns(reward.alias("reward")).sort("query", "place")
    for part in table.partition_by("query", maintain_order=True):
        answers: list[tuple[Example, float]] = []
        for row in part.head(config.candidates).iter_rows(named=True):
            messages = prompt.render({"query": row["shown"]}, domain)
            said = as_data((*messages, {"role": "assistant", "content": row["rewrite"]}), base.tokens)
            try:
                example = tokenise(base.tokens, said, base.ends)
            except Untold as why:
                left_out[f"rewrites: {why}"] += 1
                continue
            if len(example) > room:
                left_out[f"rewrites: longer than {room:,} tokens"] += 1
            else:
                answers.append((example, row["reward"]))
        rewards = np.array([reward for _, reward in answers], dtype=np.float32)
        if len(answers) < 2 or np.ptp(rewards) <= TIED:
            left_out["queries: fewer than two rewrites of different rewards"] += 1
        else:
            found.append(Ranked(part["query"][0], tuple(example for example, _ in answers), rewards))
    return found, left_out


def collate_queries(queries: Sequence[Ranked], pad: int, share: bool = False) -> dict[str, Tensor]:
    """Make a batch of B queries.

    Args:
        queries: The queries.
        pad: Padding token.
        share: Put all rewrites into one row that shares the beginning of their prompts; otherwise each has its own row.

    Returns:
        The result of `collate`, or of `collate_shared`, for all N rewrites; counts [N], the learned tokens of each;
        rewards [B, n], and mask [B, n] bool: whether there is a rewrite.
    """
    most = max(len(one.answers) for one in queries)
    rewards = np.zeros((len(queries), most), dtype=np.float32)
    mask = np.zeros_like(rewards, dtype=bool)
    for place, one in enumerate(queries):
        rewards[place, : len(one.rewards)], mask[place, : len(one.rewards)] = one.rewards, True
    answers = [answer for one in queries for answer in one.answers]
    batch = collate_shared([answers], pad) if share else collate([[answer] for answer in answers], pad)
    batch["counts"] = torch.tensor([len(answer) - answer.prompt for answer in answers])
    return batch | {"rewards": torch.from_numpy(rewards), "mask": torch.from_numpy(mask)}


def mean_log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the score s of each row: the mean log-probability of its learned tokens, without prompt and padding.

    [N, K, V], [N, 1 + K] -> [N].
    """
    return answer_log_probability(logits, labels) / (labels[:, 1:] != NOT_LEARNT).sum(dim=1)


def scores_of(model: Any, batch: Mapping[str, Tensor], mask: Tensor) -> Tensor:
    """Return the score of every rewrite of a batch: [B, n], 0 where there is none.

    Args:
        model: The model.
        batch: Result of `collate_queries`, without rewards and mask.
        mask: [B, n] bool.
    """
    inputs = {name: values for name, values in batch.items() if name not in ("labels", "counts")}
    logits, labels, counts = model(**inputs, use_cache=False).logits, batch["labels"], batch["counts"]
    in_one_row = len(labels) < len(counts)
    flat = mean_by_answer(logits, labels, counts) if in_one_row else mean_log_probability(logits, labels)  # [N]
    return flat.new_zeros(mask.shape).masked_scatter(mask, flat)


def score_queries(
    model: nn.Module,
    queries: Sequence[Ranked],
    pad: int,
    progress: Progress = silent,
    when: str = "",
    share: bool = False,
) -> list[np.ndarray]:
    """Return the model's scores of the rewrites of every query: [Q] arrays [n] float32; see `collate_queries`."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    found: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(queries), AT_ONCE):
            part = queries[start : start + AT_ONCE]
            batch = {name: values.to(device) for name, values in collate_queries(part, pad, share).items()}
            mask = batch.pop("mask")
            del batch["rewards"]
            scores = scores_of(model, batch, mask).float().cpu().numpy()
            found += [row[: len(one.answers)] for row, one in zip(scores, part, strict=True)]
            progress(f"held-out queries{when and ', ' + when}", start + len(part), len(queries))
    model.train(was_training)
    return found


def agreement(scores: Sequence[np.ndarray], queries: Sequence[Ranked]) -> np.ndarray:
    """Return Kendall's tau-b between scores and rewards: [Q], 0 if all scores are equal.

    Example:
        >>> one = Ranked("a", (), np.array([0.0, 0.5, 1.0], dtype=np.float32))
        >>> agreement([np.array([-3.0, -1.0, -2.0])], [one]).round(3).tolist()  # 2 pairs right, 1 wrong: (2 - 1) / 3
        [0.333]
    """
    taus = [kendalltau(score, one.rewards)[0] for score, one in zip(scores, queries, strict=True)]
    return np.nan_to_num(np.array(taus, dtype=np.float64))


def measure_ranking(
    model: nn.Module,
    queries: Sequence[Ranked],
    pad: int,
    progress: Progress = silent,
    when: str = "before",
    share: bool = False,
) -> dict[str, Any]:
    """Measure how well a model ranks the rewrites of held-out queries.

    Returns:
        queries; tau, the mean over queries of Kendall's tau between score and reward; best and others, the mean scores
        of the rewrite with the highest reward and of the others. A ranking loss depends only on differences: how far
        both move shows its effect on the model's likelihoods.
    """
    scores = score_queries(model, queries, pad, progress, when, share)
    first = [int(one.rewards.argmax()) for one in queries]
    best = [score[place] for score, place in zip(scores, first, strict=True)]
    others = [np.delete(score, place).mean() for score, place in zip(scores, first, strict=True)]
    return {
        "queries": len(queries),
        "tau": round(float(agreement(scores, queries).mean()), 4),
        "best": round(float(np.mean(best)), 4),
        "others": round(float(np.mean(others)), 4),
    }
