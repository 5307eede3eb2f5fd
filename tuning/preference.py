"""Preference tuning: a model that rewrites queries learns which rewrites work well in the search.

Paper:     Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
           2311.03758), section 3.4.
Idea:      the likelihood of a rewrite should follow its reward; no reward model is trained, the search is the reward.
Formula:   L = -s(best rewrite) + ranking_weight * L_rank, means over queries; s is the mean log-probability of a token,
           ties for the best go to the first, L_rank is PRO or, as a control, the pairwise logistic loss (both in
           `losses.py`).
Consumes:  rewrites of training queries with rewards (`rejection.py`); those of validation queries choose the weights.
Produces:  an adapter or a whole model, with knowflow_tuning.json.
Cost:      one row per rewrite, four per query.
Relations: start with a model that `supervised.py` tuned on `instructions.py`.
Example:   knowflow tune rewrites --stage pro --model models/rewriter --out models/aligned
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from base.faults import WrongUse
from base.progress import Progress, silent
from tuning.base import Base, check_devices, prepare, save
from tuning.config import RewriteConfig
from tuning.losses import pairwise_loss, pro_loss
from tuning.ranking import Ranked, collate_queries, measure_ranking, scores_of
from tuning.recipe import Job, carry_out, nothing_more
from tuning.sharing import check_sharing
from tuning.supervised import Tell, arguments_of, check_finite, plan_of
from tuning.workfolder import WorkFolder

Objective = Literal["pro", "pairwise"]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scores, rewards and mask, [B, n] each -> [B]."""


def loss_of(objective: Objective, config: RewriteConfig) -> Loss:
    """Return the ranking loss by its name."""
    return pro_loss if objective == "pro" else partial(pairwise_loss, scale=config.pair_scale)


def tune_preferences(
    base: Base,
    training: Sequence[Ranked],
    validation: Sequence[Ranked],
    objective: Objective,
    config: RewriteConfig,
    out: Path,
    progress: Progress,
    *,
    facts: Mapping[str, Any],
    left_out: Counter[str],
    resume: bool = False,
) -> Mapping[str, Any]:
    """Tune a model on ranked rewrites and write it: run `preference_job`.

    Args:
        base: The model.
        training: Queries to learn from.
        validation: See `preference_job`.
        objective: The ranking loss.
        config: The options; a row of a batch is a query.
        out: Folder of the tuned model; new or empty, unless it resumes.
        progress: Called with the number of finished steps.
        facts: The origin of the queries, for the record.
        left_out: Reason why queries and rewrites were left out -> how many.
        resume: Resume the tuning in `out`; start one if there is none.

    Returns:
        The content of knowflow_tuning.json.

    Raises:
        WrongUse: There is nothing to learn, `out` holds something else, or the model cannot be tuned.
    """
    job = preference_job(base, training, validation, objective, config, progress, facts=facts, left_out=left_out)
    return carry_out(job, out, resume=resume)


def preference_job(
    base: Base,
    training: Sequence[Ranked],
    validation: Sequence[Ranked],
    objective: Objective,
    config: RewriteConfig,
    progress: Progress,
    *,
    facts: Mapping[str, Any],
    left_out: Counter[str],
    finish: Callable[[Path], None] = nothing_more,
) -> Job:
    """Make the job of preference tuning.

    Every `save_every` steps and at the end the model ranks the rewrites of the validation queries; the weights with the
    highest Kendall tau are written. After a kill it resumes from its newest checkpoint.

    Args:
        base: The model.
        training: Queries to learn from.
        validation: Other queries that choose the weights; without them, the last weights are used.
        objective: The ranking loss.
        config: The options; a row of a batch is a query.
        progress: Called with the number of finished steps.
        facts: The origin of the queries, for the record.
        left_out: Reason why queries and rewrites were left out -> how many.
        finish: See `Job.finish`.

    Raises:
        WrongUse: There is nothing to learn.
    """
    if not training:
        reasons = "".join(f"\n  {why}: {count:,}" for why, count in left_out.items())
        raise WrongUse(
            f"no query can be learned{reasons}\n  give more rewrites with --candidate-file, or raise --row-tokens"
        )
    check_devices()
    disable_progress_bar()
    set_verbosity_error()
    measured = partial(measure_ranking, queries=validation, pad=base.pad, progress=progress, share=config.share_prompts)

    def learn(folder: WorkFolder) -> Mapping[str, Any]:
        model = prepare(base, config)
        if config.share_prompts:
            check_sharing(model, [training[0].answers], base.pad)
        loss = loss_of(objective, config)
        trainer = _Preference(model, training, validation, base.pad, loss, config, folder, progress)
        before = measured(model, when="before") if validation else None
        checkpoint = folder.checkpoint()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        check_finite(model, config)
        after = measured(model, when="after") if validation else None
        save(model, base, folder.out)
        best = trainer.state.best_global_step if validation else trainer.state.global_step
        steps = {"left_out": dict(left_out), "steps": trainer.state.global_step, "chosen_step": best}
        held_out = {"before": before, "after": after} if validation else None
        return {"learnt": {**_counted(training), **steps}, "held_out": held_out}

    return Job(base.folder, {**plan_of(base, config, facts), "objective": objective}, learn, finish=finish)


def _counted(training: Sequence[Ranked]) -> dict[str, int]:
    """Count what there is to learn."""
    answers = [answer for one in training for answer in one.answers]
    return {
        "queries": len(training),
        "rewrites": len(answers),
        "tokens": sum(map(len, answers)),
        "answer_tokens": sum(len(answer) - answer.prompt for answer in answers),
    }


class _Preference(Trainer):
    """transformers' Trainer with a loss over the rewrites of a query and Kendall's tau as its metric."""

    def __init__(
        self,
        model: Any,
        training: Sequence[Ranked],
        validation: Sequence[Ranked],
        pad: int,
        loss: Loss,
        config: RewriteConfig,
        folder: WorkFolder,
        progress: Progress,
    ) -> None:
        self._validation, self._pad, self._loss, self._weight = validation, pad, loss, config.ranking_weight
        self._share = config.share_prompts
        chosen: dict[str, Any] = {}
        if validation:
            chosen = {
                "eval_strategy": "steps",
                "eval_steps": config.save_every,
                "load_best_model_at_end": True,
                "metric_for_best_model": "tau",
                "greater_is_better": True,
            }
        super().__init__(
            model,
            arguments_of(config, folder.work, **chosen),
            data_collator=partial(collate_queries, pad=pad, share=config.share_prompts),
            train_dataset=list(training),  # pyright: ignore[reportArgumentType] - any list does
            eval_dataset=list(validation) or None,  # pyright: ignore[reportArgumentType]
            callbacks=[Tell(progress), _AtTheEnd(bool(validation))],
        )
        self.remove_callback(PrinterCallback)
        # The loss is a mean over the queries of one part of a step: the Trainer must divide by the number of parts.
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the mean over queries of -s(best) + weight * ranking loss."""
        rewards, mask = inputs.pop("rewards"), inputs.pop("mask")
        scores = scores_of(model, inputs, mask)  # [B, n]
        best = rewards.masked_fill(~mask, -torch.inf).argmax(dim=1, keepdim=True)
        return (self._weight * self._loss(scores, rewards, mask) - scores.gather(1, best).squeeze(1)).mean()

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return Kendall's tau on the validation queries."""
        model: Any = self.model
        found = measure_ranking(model, self._validation, self._pad, silent, share=self._share)
        metrics = {"eval_tau": found["tau"]}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _AtTheEnd(TrainerCallback):
    """Evaluates after the last step too; transformers accepts only subclasses of its own callback."""

    def __init__(self, measured: bool) -> None:
        self._measured = measured

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Request an evaluation after the last step."""
        if self._measured and state.global_step >= state.max_steps:
            control.should_evaluate = True
