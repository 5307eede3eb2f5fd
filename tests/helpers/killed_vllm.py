"""Asks vLLM what `kar_item` lacks, noting every call and committing every tenth answer: CONFIG NOTES."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.config import load_config
from app.workplace import open_workplace
from base.progress import silent
from llm_tasks.pipeline import generate, plan
from llm_tasks.pipeline.catalogue import find_tasks
from prompts.library import choose_prompt


class Noting:
    """An engine that notes in a file what is asked and what it gives."""

    def __init__(self, engine: Any, notes: Path) -> None:
        self._engine, self._notes = engine, notes
        self.identity, self.token_counter = engine.identity, engine.token_counter
        self.context_tokens, self.count_tokens = engine.context_tokens, engine.count_tokens

    def generate(self, requests: Iterable[Any]) -> Iterator[Any]:
        with self._notes.open("a", buffering=1) as file:

            def noted() -> Iterator[Any]:
                for request in requests:
                    file.write(f"asked {request.key}\n")
                    yield request

            for answer in self._engine.generate(noted()):
                file.write(f"gave {answer.key}\n")
                yield answer


def ask(config: Path, notes: Path, patch: Callable[[Any, str, Any], None] = setattr) -> int:
    """Ask, until somebody kills this process or nothing is left to ask; gives how many calls were made."""
    prompt = choose_prompt("kar_item")
    short = replace(prompt, front=prompt.front.model_copy(update={"sampling": {"temperature": 0.0, "max_tokens": 24}}))
    patch(plan, "live_prompt", lambda *_: short)
    patch(generate, "COMMIT_ROWS", 10)
    place = open_workplace(load_config(config))
    place = replace(place, engine=Noting(place.engine, notes))
    with place.store.writer("to be killed") as writer:
        return generate.generate(plan.plan_task(find_tasks()["kar_item"], place), place, writer, silent).calls


if __name__ == "__main__":
    ask(*map(Path, sys.argv[1:]))
