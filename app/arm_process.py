"""Trains one arm in its own process: `python -m app.arm_process CONFIG RUN ARM`.

Arms share nothing, so they train in parallel, each with one thread, and free their memory when they end.
"""

import sys
import time
from pathlib import Path

from app.lifeline import begin_child, report_fault
from base.faults import CheckFailed, WrongUse


def main(config_path: str, run_folder: str, name: str) -> None:
    """Train the arm, keep its best model, and write its scores to the run: `NAME.npz`, then `NAME.json`."""
    report = begin_child()
    import numpy as np  # noqa: PLC0415 - after the above, so that this ends with a killed parent
    import torch  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    from app.config import load_config  # noqa: PLC0415
    from app.run_inputs import shared_inputs  # noqa: PLC0415
    from app.samples import arms_in, read_vectors_of  # noqa: PLC0415
    from app.train_runs import TrainRun, models_folder  # noqa: PLC0415
    from app.workplace import open_store  # noqa: PLC0415
    from ctr.compare import train_arm  # noqa: PLC0415
    from ctr.kept import keep  # noqa: PLC0415
    from feature_store.releases import get_release  # noqa: PLC0415

    torch.set_num_threads(1)  # the same sums in the same order on every machine
    threadpool_limits(1)  # NumPy and SciPy threads too
    config, run = load_config(config_path), TrainRun(Path(run_folder))
    release = get_release(open_store(config), run.read("run")["release"])
    (arm,) = arms_in(config, release, [name])
    vectors = read_vectors_of(config, release, [arm])
    try:
        given = shared_inputs(run)
        result = train_arm(arm, vectors, given.samples, config.train, report, given.windows, config.plugin_folders)
    except (CheckFailed, WrongUse) as error:
        sys.exit(report_fault(error))
    if result.best is not None:
        folder = models_folder(config.home_folder, run.name) / name
        keep(folder, arm, result.best, given.samples, release.name, given.fields)
    file, before = run.folder / f"{name}.npz", result.uncalibrated
    np.savez(file, test=result.test, rolling=result.rolling, uncalibrated=before)
    run.write(
        name,
        {
            "validation_auc": result.validation_auc,
            "chosen": result.chosen,
            "parameters": result.parameters,
            "samples_per_cpu_second": result.samples_per_cpu_second,
            "cpu_seconds": time.process_time(),
        }
        | ({} if result.retrieval is None else {"retrieval": result.retrieval, "shown": result.shown}),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
