"""Asks what `kar_item` lacks, committing every third answer, and prints the calls it took: CONFIG."""

import sys
from pathlib import Path

from app.config import load_config
from app.workplace import open_workplace
from base.progress import silent
from llm_tasks.pipeline import generate
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.plan import plan_task


def main(config: str) -> None:
    """Ask, until somebody kills this process or nothing is left to ask."""
    generate.COMMIT_ROWS = 3
    place = open_workplace(load_config(Path(config)))
    with place.store.writer("to be killed") as writer:
        print(generate.generate(plan_task(find_tasks()["kar_item"], place), place, writer, silent).calls, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
