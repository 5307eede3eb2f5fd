"""Encodes new texts in its own process: `python -m app.encode_process ...`.

A dense encoder takes a gigabyte that training needs later. One process encodes for all techniques, because importing
torch and sentence-transformers takes 7 CPU-seconds.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from app.lifeline import begin_child, report_fault
from base.faults import CheckFailed, WrongUse
from engines.ray.config import ExecutorName


def main(config_path: str, names: str, result: str, purpose: str, executor: ExecutorName) -> None:
    """Encode, and write a JSON summary of what each encoder did.

    Args:
        config_path: Path of knowflow.yaml.
        names: Names of the techniques, a JSON list.
        result: File to write.
        purpose: Shown to other processes that want to write to the store meanwhile.
        executor: Where encoders work: `local` or `ray`.
    """
    report = begin_child()
    from app.asking import with_executor  # noqa: PLC0415
    from app.config import load_config  # noqa: PLC0415
    from app.workplace import encoders_of, one_task, open_store  # noqa: PLC0415
    from encoders.spread import spread_over  # noqa: PLC0415
    from llm_tasks.pipeline.encode import encode_task  # noqa: PLC0415

    config = with_executor(load_config(config_path), executor)
    folder, folders, made = config.folder, config.plugin_folders, []
    try:
        with open_store(config).writer(purpose) as writer, spread_over(config.executor, folder, folders) as spread:
            for name in json.loads(names):
                technique, encoders = one_task(config, name), encoders_of(config, name)
                made += map(asdict, encode_task(technique, encoders, writer, report, folder, folders, spread))
    except (WrongUse, CheckFailed) as error:
        sys.exit(report_fault(error))
    Path(result).write_text(json.dumps(made), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
