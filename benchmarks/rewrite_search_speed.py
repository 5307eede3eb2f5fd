"""Speed of bulk search: CPU seconds to rank 10,000 queries and 4 rewrites of each over all films of MovieLens small.

Run:   python benchmarks/rewrite_search_speed.py
Reads: examples/movielens. Queries and rewrites are drawn with replacement from the recorded ones, and a film's title is
       added to each, so that few texts repeat: a repeated text is searched once.
The last line printed is one JSON object. The time includes everything: making the documents, the index, 50,000 searches
and the fusion of the five rankings of every query.
"""

import json
import resource
import time
from pathlib import Path

import numpy as np
import polars as pl

from app.config import load_config
from app.workplace import open_dataset
from retrieval.search import BulkSearch, document_texts, fuse

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "movielens"
QUERIES, REWRITES, BUDGET = 10_000, 4, 50


def main() -> None:
    """Measure, and print the results."""
    items = open_dataset(load_config(EXAMPLE / "knowflow.yaml")).items
    answers = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet").select(
        pl.col("item_id").cast(pl.String), "answer"
    )
    asked = draw(items["title"].to_list())
    begun = time.process_time()
    search = BulkSearch(items["item"].to_list(), document_texts(items, descriptions=dict(answers.iter_rows())))
    indexed = time.process_time()
    rankings = search.search(asked, BUDGET).reshape(QUERIES, 1 + REWRITES, BUDGET)
    fused = fuse(rankings, BUDGET)
    ended = time.process_time()
    found = {
        "queries": QUERIES,
        "searches": len(asked),
        "distinct_texts": len(set(asked)),
        "films": len(items),
        "results": int((fused >= 0).sum()),
        "index_cpu_seconds": round(indexed - begun, 2),
        "cpu_seconds": round(ended - begun, 2),
        "searches_per_cpu_second": round(len(asked) / (ended - indexed)),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(f"{len(asked):,} searches over {len(items):,} films: {found['cpu_seconds']} CPU seconds")
    print(json.dumps(found))


def draw(titles: list[str]) -> list[str]:
    """Return query and rewrites, one query after the other."""
    random = np.random.default_rng(0)
    recorded = pl.read_parquet(EXAMPLE / "recorded" / "queries.parquet")
    rewrites = [text for answer in recorded["answer"] for text in json.loads(answer)["rewrites"]]
    queries, others = random.choice(recorded["query"].to_list(), QUERIES), random.choice(rewrites, (QUERIES, REWRITES))
    texts = [str(text) for query, of in zip(queries, others, strict=True) for text in (query, *of)]
    return [f"{text} {title}" for text, title in zip(texts, random.choice(titles, len(texts)), strict=True)]


if __name__ == "__main__":
    main()
