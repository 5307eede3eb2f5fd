"""Two processes train as one does, with dense and with sparse gradients, under each of the launchers that docs name."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("distributed_run.py")
LAUNCHERS = {
    "torchrun": "torch.distributed.run --standalone --nproc-per-node 2",
    "accelerate": "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --main_process_port 0"
    " --mixed_precision no --dynamo_backend no",
}
"""Each as a module and its options, so that this Python starts it; port 0 is any free one."""
SPARSE_FROM = (10**6, 30)
"""Above every table of the made world, and below."""


@pytest.fixture(scope="module")
def alone():
    run = runpy.run_path(str(SCRIPT))["run"]
    return {sparse_from: run(sparse_from) for sparse_from in SPARSE_FROM}


@pytest.mark.slow(reason="starts three Python processes that import torch, for each launcher")
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_give_one_process_s_curve(tmp_path, alone, launcher):
    root = Path(__file__).parents[2]
    launch = [sys.executable, "-m", *LAUNCHERS[launcher].split()]

    subprocess.run(
        [*launch, str(SCRIPT), str(tmp_path), *map(str, SPARSE_FROM)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        timeout=500,
    )

    for sparse_from, right in alone.items():
        both = [np.load(tmp_path / f"{sparse_from}-rank-{rank}.npz") for rank in range(2)]
        for name, value in right.items():
            np.testing.assert_array_equal(both[0][name], both[1][name])
            np.testing.assert_allclose(both[0][name], value, atol=2e-3, rtol=1e-3, err_msg=name)
        np.testing.assert_allclose(both[0]["curve"], right["curve"], atol=2e-3)
