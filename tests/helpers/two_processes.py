"""Takes one step's gradients under torchrun's environment and writes them; run by test_contrastive_processes.py."""

import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(Path(__file__).parent)]


def main(tiny: str, out: str) -> None:
    """Write the losses and gradients of step 1 that this process sees to OUT.RANK."""
    torch.set_num_threads(1)
    from accelerate import PartialState
    from note_shop import CONFIG, trainer_of

    process = PartialState(cpu=True)
    trainer, model, *_ = trainer_of(Path(tiny), CONFIG)
    losses = trainer.gradients(1)
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    torch.save({"losses": vars(losses), "gradients": gradients}, f"{out}.{process.process_index}")
    process.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
