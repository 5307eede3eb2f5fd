"""Two processes train as one does, with dense and with sparse gradients."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("distributed_run.py")


@pytest.mark.slow(reason="starts three Python processes that import torch, twice")
@pytest.mark.parametrize("sparse_from", [10**6, 30])
def test_two_processes_give_one_process_s_curve(tmp_path, sparse_from):
    root = Path(__file__).parents[2]
    alone = runpy.run_path(str(SCRIPT))["run"](sparse_from)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

    subprocess.run(
        [*launch, str(SCRIPT), str(sparse_from), str(tmp_path / "rank")],
        check=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        timeout=500,
    )

    both = [np.load(tmp_path / f"rank-{rank}.npz") for rank in range(2)]
    for name, right in alone.items():
        np.testing.assert_array_equal(both[0][name], both[1][name])
        np.testing.assert_allclose(both[0][name], right, atol=2e-3, rtol=1e-3, err_msg=name)
    np.testing.assert_allclose(both[0]["curve"], alone["curve"], atol=2e-3)
