"""Supervised tuning: a model learns the answers of conversations.

Used by the recipe `sft` and the first stage of `rewrites`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from base.faults import WrongUse
from base.progress import Progress
from tuning.base import Base, check_devices, check_packing, prepare, save
from tuning.config import StepConfig
from tuning.forgetting import NoisedTrainer
from tuning.losses import completion_loss
from tuning.measure import Measure, by_answers
from tuning.mixture import INSTRUCTIONS, Mixture
from tuning.packing import collate, pack
from tuning.recipe import Job, carry_out, nothing_more
from tuning.sharing import check_sharing, collate_shared, pack_alike
from tuning.tokens import Example, Untold, as_data, tokenise
from tuning.workfolder import WorkFolder


def tune(
    base: Base,
    mixture: Mixture,
    config: StepConfig,
    out: Path,
    progress: Progress,
    *,
    resume: bool = False,
    measured: Measure | None = None,
) -> Mapping[str, Any]:
    """Tune a model and write it: run `supervised_job`.

    After a kill it resumes from its newest checkpoint and ends with the same weights as without the kill.

    Args:
        base: The model.
        mixture: The rows to learn.
        config: The options.
        out: Folder of the tuned model; new or empty, unless it resumes.
        progress: Called with the number of finished steps.
        resume: Resume the tuning in `out`; start one if there is none.
        measured: See `supervised_job`.

    Returns:
        The content of knowflow_tuning.json.

    Raises:
        WrongUse: Nothing fits a row, `out` holds something else, or the model cannot be tuned.
    """
    return carry_out(supervised_job(base, mixture, config, progress, measured=measured), out, resume=resume)


def supervised_job(
    base: Base,
    mixture: Mixture,
    config: StepConfig,
    progress: Progress,
    *,
    measured: Measure | None = None,
    finish: Callable[[Path], None] = nothing_more,
) -> Job:
    """Make the job of supervised tuning.

    Args:
        base: The model.
        mixture: The rows to learn.
        config: The options.
        progress: Called with the number of finished steps.
        measured: Measures the model before and after; uses the mixture's held-out rows if not given.
        finish: See `Job.finish`.

    Raises:
        WrongUse: Nothing fits a row.
    """
    check_devices()
    disable_progress_bar()
    set_verbosity_error()
    examples, left_out = tokenise_all(base, mixture, config.row_tokens)
    lengths = [len(example) for example in examples]
    places = places_of(examples, config)
    rows = [[examples[place] for place in row] for row in places]
    counted = {
        "examples": len(examples),
        "left_out": dict(left_out),
        "rows": len(rows),
        "tokens": sum(lengths),
        "answer_tokens": sum(len(example) - example.prompt for example in examples),
    }
    held_out = measured or by_answers(base, mixture.held_out, mixture.words, config.row_tokens, progress)

    def learn(folder: WorkFolder) -> Mapping[str, Any]:
        model = prepare(base, config)
        trainer = make_trainer(model, rows, base.pad, config, folder.work, progress)  # on a GPU, if there is one
        if config.share_prompts:
            check_sharing(model, rows, base.pad)
        elif config.pack:
            check_packing(model, rows, base.pad, config.together)
        before = held_out(model, when="before") if held_out else None
        checkpoint = folder.checkpoint()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        check_finite(model, config)
        after = held_out(model, when="after") if held_out else None
        save(model, base, folder.out)
        return {
            "learnt": {**counted, "steps": trainer.state.global_step},
            "held_out": {"before": before, "after": after} if held_out else None,
        }

    return Job(base.folder, plan_of(base, config, mixture.facts), learn, finish=finish)


def places_of(examples: Sequence[Example], config: StepConfig) -> list[list[int]]:
    """Return the indices of the examples of each row."""
    if not config.pack:
        return [[place] for place in range(len(examples))]
    if config.share_prompts:
        return pack_alike(examples, config.row_tokens)
    return pack([len(example) for example in examples], config.row_tokens)


def plan_of(base: Base, config: StepConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that decides what a language model learns."""
    return {
        "base": {"name": base.folder.name, "revision": base.revision},
        "settings": config.model_dump(),
        "data": facts,
    }


def tokenise_all(base: Base, mixture: Mixture, longest: int) -> tuple[list[Example], Counter[str]]:
    """Turn conversations into tokens; those that cannot be learned are left out and counted, by kind and reason.

    Raises:
        WrongUse: None is left.
    """
    found: list[Example] = []
    left_out: Counter[str] = Counter()
    room = min(longest, base.tokens.longest or longest)
    for conversation, kind in zip(mixture.conversations, mixture.kinds, strict=True):
        try:
            # In a file of conversations, special tokens are meant by its author.
            written = conversation if kind == INSTRUCTIONS else as_data(conversation, base.tokens)
            example = tokenise(base.tokens, written, base.ends)
        except Untold as why:
            left_out[f"{kind}: {why}"] += 1
            continue
        if len(example) > room:
            left_out[f"{kind}: longer than {room:,} tokens"] += 1
        else:
            found.append(example)
    if not found:
        reasons = "\n  ".join(f"{why}: {count:,} rows" for why, count in left_out.items())
        raise WrongUse(f"no row can be learned\n  {reasons}\n  raise --row-tokens, or use another model or template")
    return found, left_out


def check_finite(model: Any, config: StepConfig) -> None:
    """Check that the tuned weights are finite.

    Raises:
        WrongUse: They are not.
    """
    if not all(bool(weight.isfinite().all()) for weight in model.parameters() if weight.requires_grad):
        raise WrongUse(f"the weights became infinite\n  lower --learning-rate, which is {config.learning_rate:g}")


def make_trainer(
    model: Any,
    rows: Sequence[Sequence[Example]],
    pad: int,
    config: StepConfig,
    folder: Path,
    progress: Progress,
) -> Trainer:
    """Set up transformers' Trainer.

    Args:
        model: The model, with the weights to tune chosen.
        rows: Packed rows.
        pad: Padding token.
        config: The options.
        folder: Folder for checkpoints.
        progress: Called with the number of finished steps.
    """
    trainer = (NoisedTrainer if config.noise_weight else Trainer)(
        model,
        arguments_of(config, folder),
        data_collator=partial(collate_shared if config.share_prompts else collate, pad=pad),
        train_dataset=list(rows),  # pyright: ignore[reportArgumentType] - any list does
        compute_loss_func=_loss,
        callbacks=[Tell(progress)],
    )
    if isinstance(trainer, NoisedTrainer):
        trainer.weight, trainer.radius = config.noise_weight, config.noise_radius
    trainer.remove_callback(PrinterCallback)
    return trainer


def arguments_of(config: StepConfig, folder: Path, **more: Any) -> TrainingArguments:
    """Return the arguments of transformers' Trainer.

    Args:
        config: The options.
        folder: Folder for checkpoints.
        more: Additional arguments, or replacements.
    """
    given: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "warmup_steps": config.warm_up,  # below 1: a share of all steps
        "weight_decay": config.weight_decay,
        "per_device_train_batch_size": config.together,
        "gradient_accumulation_steps": config.batch_rows // config.together,
        "bf16": config.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),  # bf16 needs this to be explicit
        "seed": config.seed,
        "data_seed": config.seed,
        "save_steps": config.save_every,
        "save_total_limit": 2,  # a kill while one is written leaves the other
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "use_cache": False,
        "dataloader_pin_memory": False,
    }
    return TrainingArguments(**{**given, **more})


def _loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
    return completion_loss(outputs.logits, labels, num_items_in_batch)


class Tell(TrainerCallback):
    """Reports finished steps; transformers accepts only subclasses of its own callback."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report after every step."""
        self._progress("tuning steps", state.global_step, state.max_steps)
