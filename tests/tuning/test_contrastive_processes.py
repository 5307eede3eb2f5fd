"""Two real processes that share a step find the gradient of one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from note_shop import CONFIG, farthest, gradients_of, trainer_of

PROGRAM = Path(__file__).parents[1] / "helpers" / "two_processes.py"


def test_two_processes_have_the_gradient_of_one(tiny, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PROGRAM), str(tiny), str(tmp_path / "found")]
    started = [
        subprocess.Popen(command, env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=240) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    trainer, model, *_ = trainer_of(tiny, CONFIG)

    losses = trainer.gradients(1)

    alone = gradients_of(model)
    largest = max(float(gradient.abs().max()) for gradient in alone.values())
    for rank in range(2):
        found = torch.load(tmp_path / f"found.{rank}", weights_only=True)
        assert farthest(found["gradients"], alone) < 1e-5 * largest
        torch.testing.assert_close(
            torch.tensor(list(found["losses"].values())), torch.tensor(list(vars(losses).values()))
        )
