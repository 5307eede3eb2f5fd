"""What versions of a prompt are worth to the recommender: the measures of worth, with the encoder of knowflow.yaml."""

from collections.abc import Callable, Sequence

import numpy as np

from app.config import DEFAULT_ENCODERS, Config
from app.progress import progress
from app.trial_background import facts_of
from app.trial_plan import TrialPlan
from app.workplace import encoder_names
from encoders.choose import kind_of
from encoders.protocol import Encoder
from evals.prompts.worth.measure import measure_worth
from evals.trial import Measured, Trial
from llm_tasks.pipeline.encode import model_encoder


def measure_trial_worth(config: Config, plan: TrialPlan, trial: Trial) -> list[Measured]:
    """Measure what the versions are worth; no test row is read.

    Args:
        config: The config.
        plan: The plan of the trial.
        trial: The answers.
    """
    at, encoder = plan.workplace, encoder_of(config, plan.task.name)
    facts = facts_of(config, at, trial.entity)
    return measure_worth(trial, at.dataset, at.domain, facts, _encode(encoder), plan.seed)


def encoder_of(config: Config, task: str) -> Encoder:
    """Return the first encoder of a technique that needs no fitting, else the default dense one.

    A fitted space would have to be fitted on the few texts of the sample, and would differ from that of a release.
    """
    for name in encoder_names(config, task):
        if not kind_of(config.encoders[name], config.plugin_folders).fitted:
            return model_encoder(name, config.encoders[name], config.folder, config.plugin_folders)
    return model_encoder("dense", DEFAULT_ENCODERS["dense"], config.folder)


def _encode(encoder: Encoder) -> Callable[[Sequence[str]], np.ndarray]:
    return lambda texts: np.asarray(encoder.encode(list(texts), progress()))
