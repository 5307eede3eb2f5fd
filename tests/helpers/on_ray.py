"""Asks and encodes techniques as a refresh does, without Prefect: `python on_ray.py KNOWFLOW_YAML EXECUTOR TASK...`."""

import sys
from pathlib import Path

from app.asking import with_executor
from app.config import load_config
from app.encoding import encode_texts
from app.workplace import one_task, open_workplace
from base.faults import WrongUse
from base.progress import silent
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task


def main(path: str, executor: str, *tasks: str) -> None:
    assert "ray" not in sys.modules, "importing KnowFlow imports Ray"
    config = with_executor(load_config(Path(path)), executor)
    workplace = open_workplace(config)
    try:
        with workplace.store.writer("a test") as writer:
            for name in tasks:
                task = one_task(config, name)
                print(name, generate(plan_task(task, workplace), workplace, writer, silent), flush=True)
        encode_texts(config, tasks, silent)
    except WrongUse as fault:
        sys.exit(str(fault))
    assert executor == "ray" or "ray" not in sys.modules, "the executor local imports Ray"


if __name__ == "__main__":
    main(*sys.argv[1:])
