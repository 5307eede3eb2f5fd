"""Calibration: a map from a model's logits to calibrated ones, fitted on validation rows alone.

`temperature` divides logits by one number and `platt` is a line: both keep the order of rows, so AUC stays. `isotonic`
is a rising step-wise curve: it can correct any shape, needs more rows, and makes ties.

Sources: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2 (temperature); Platt 1999,
"Probabilistic Outputs for Support Vector Machines", section 2.2; Zadrozny and Elkan 2002, "Transforming Classifier
Scores into Accurate Multiclass Probability Estimates" (isotonic).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, TypeAdapter
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from base.faults import WrongUse
from base.frozen import Frozen
from ctr.config import CalibrationName
from ctr.learners import Model
from ctr.samples import Samples
from sources.events import PARTS

HOTTEST = 100.0
"""The temperature is at most this and at least its inverse: validation rows that contradict a model have none."""


class Temperature(Frozen):
    """Logits divided by one number."""

    kind: Literal["temperature"] = "temperature"
    temperature: float
    """Above 1, the model was too sure; below 1, not sure enough."""

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrate logits: [n] -> [n] float64."""
        return logits.astype(np.float64) / self.temperature


class Platt(Frozen):
    """A line over logits."""

    kind: Literal["platt"] = "platt"
    slope: float
    """Below 1, the model was too sure."""
    shift: float
    """Above 0, clicks were more frequent than the model said."""

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrate logits: [n] -> [n] float64."""
        return self.slope * logits.astype(np.float64) + self.shift


class Isotonic(Frozen):
    """A rising curve from logits to probabilities, linear between its points and flat outside of them."""

    kind: Literal["isotonic"] = "isotonic"
    logits: tuple[float, ...]
    """Ascending."""
    probabilities: tuple[float, ...]
    """The probability at each of them, not falling."""

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrate logits: [n] -> [n] float64."""
        probability = np.interp(logits.astype(np.float64), self.logits, self.probabilities)
        return np.log(probability) - np.log1p(-probability)


Calibration = Annotated[Temperature | Platt | Isotonic, Field(discriminator="kind")]
CALIBRATION: TypeAdapter[Calibration] = TypeAdapter(Calibration)
"""Reads a calibration that was saved by `model_dump`."""


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> Temperature:
    """Find the temperature with the least log loss: [n], [n] of 0 and 1."""

    def gradient(log: np.ndarray) -> np.ndarray:
        scaled = logits / np.exp(log[0])
        return np.array([-np.mean((_sigmoid(scaled) - label) * scaled)])

    widest, options = np.log(HOTTEST), {"ftol": 1e-15, "gtol": 1e-10}
    found = minimize(
        lambda log: _loss(logits / np.exp(log[0]), label),
        np.zeros(1),
        jac=gradient,
        bounds=[(-widest, widest)],
        method="L-BFGS-B",
        options=options,
    )
    return Temperature(temperature=float(np.exp(found.x[0])))


def fit_platt(logits: np.ndarray, label: np.ndarray) -> Platt:
    """Find the line with the least log loss against Platt's targets, which are a little short of 0 and 1."""
    positives = label.sum()
    target = np.where(label > 0, (positives + 1) / (positives + 2), 1 / (len(label) - positives + 2))

    def gradient(line: np.ndarray) -> np.ndarray:
        error = _sigmoid(line[0] * logits + line[1]) - target
        return np.array([error @ logits, error.sum()]) / len(label)

    found = minimize(
        lambda line: _loss(line[0] * logits + line[1], target), np.array([1.0, 0.0]), jac=gradient, method="BFGS"
    )
    return Platt(slope=float(found.x[0]), shift=float(found.x[1]))


def fit_isotonic(logits: np.ndarray, label: np.ndarray) -> Isotonic:
    """Find the rising curve with the least squared error; n rows prove no probability below 1 / (n + 2), nor above."""
    fitted = IsotonicRegression(out_of_bounds="clip").fit(logits, label)
    least = 1 / (len(label) + 2)
    probabilities = np.clip(fitted.y_thresholds_, least, 1 - least)
    return Isotonic(logits=tuple(fitted.X_thresholds_.tolist()), probabilities=tuple(probabilities.tolist()))


FITS: Mapping[CalibrationName, Callable[[np.ndarray, np.ndarray], Calibration]] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}


def fit(name: CalibrationName, logits: np.ndarray, label: np.ndarray) -> Calibration:
    """Fit a calibration to rows that the model was not trained on.

    Args:
        name: Which one.
        logits: [n], of validation rows.
        label: [n], 0 or 1.

    Raises:
        WrongUse: The rows do not have both labels.
    """
    if len(np.unique(label)) < 2:
        raise WrongUse(
            f"train.calibration: {name} is fitted on validation rows, and these {len(label):,} have one label or none\n"
            "  raise split.validation in knowflow.yaml, or leave calibration out"
        )
    return FITS[name](logits.astype(np.float64), label.astype(np.float64))


@dataclass(frozen=True)
class CalibratedModel:
    """A trained model and the calibration of its logits."""

    model: Model
    """The model."""
    calibration: Calibration
    """What its logits go through."""

    @property
    def validation_auc(self) -> tuple[float, ...]:
        """AUC of the model on the validation rows after each epoch, before calibration."""
        return self.model.validation_auc

    @property
    def parameters(self) -> int:
        """Number of trained parameters of the model."""
        return self.model.parameters

    @property
    def samples_per_cpu_second(self) -> float:
        """Training speed of the model."""
        return self.model.samples_per_cpu_second

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Calibrated logits of some samples: [n] int64 -> [n] float64."""
        return self.calibration.apply(self.model.logits(rows))

    def write(self, folder: Path) -> None:
        """Write the model alone; `model.json` has the calibration."""
        self.model.write(folder)


def calibration_of(name: CalibrationName, model: Model, samples: Samples, part: np.ndarray) -> Calibration:
    """Fit the calibration of a model on the validation rows.

    Args:
        name: Which one.
        model: The model.
        samples: All samples.
        part: [N] int8, index into `PARTS`, -1 = in no part.

    Raises:
        WrongUse: The validation rows do not have both labels.
    """
    rows = np.flatnonzero(part == PARTS.index("validation"))
    return fit(name, model.logits(rows), samples.label[rows])


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -logits))


def _loss(logits: np.ndarray, target: np.ndarray) -> float:
    """Return the mean log loss."""
    return float(np.mean(np.logaddexp(0, logits) - target * logits))
