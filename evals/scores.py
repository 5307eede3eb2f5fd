"""Scores: what every arm predicted for the test rows, checked once so that the metrics need not ask again."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


class ScoresFault(ValueError):
    """Scores that cannot be evaluated.

    Args:
        faults: What is wrong, all of it, one sentence each.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("these scores cannot be evaluated\n" + "\n".join(f"  {fault}" for fault in faults))


@dataclass(frozen=True)
class Scores:
    """Predictions of all arms on the same N test rows, S training seeds an arm.

    Raises:
        ScoresFault: Shapes differ, a label is not 0 or 1, or a probability is not between 0 and 1.
    """

    label: np.ndarray
    """[N] float32, 0 or 1."""
    user: np.ndarray
    """[N] int64: whose row it is; intervals resample users."""
    segments: Mapping[str, np.ndarray]
    """Name -> [N] bool: the rows of a segment (all, warm, cold, cold_with_knowledge); segments may overlap."""
    probabilities: Mapping[str, np.ndarray]
    """Arm -> [S, N] float32: predicted probability of label 1; the same seeds in the same order in every arm."""

    def __post_init__(self) -> None:
        """Check everything, so that the metrics need not."""
        rows = len(self.label)
        faults = []
        if not np.isin(self.label, (0, 1)).all():
            faults.append("label: must be 0 or 1 everywhere")
        if self.user.shape != (rows,):
            faults.append(f"user: has shape {self.user.shape}, must be ({rows:,},) as the labels")
        for name, chosen in self.segments.items():
            if chosen.shape != (rows,) or chosen.dtype != np.bool_:
                faults.append(f"segment {name}: is {chosen.dtype} of shape {chosen.shape}, must be bool of ({rows:,},)")
        if not self.probabilities:
            faults.append("probabilities: there is no arm")
        seeds = {len(predicted) for predicted in self.probabilities.values() if predicted.ndim == 2}
        if len(seeds) > 1 or 0 in seeds:
            faults.append(f"probabilities: arms have {sorted(seeds)} seeds; train every arm with the same seeds")
        for arm, predicted in self.probabilities.items():
            if predicted.ndim != 2 or predicted.shape[1] != rows:
                faults.append(f"arm {arm}: has shape {predicted.shape}, must be (seeds, {rows:,})")
            elif not ((predicted >= 0) & (predicted <= 1)).all():
                wrong = int((~((predicted >= 0) & (predicted <= 1))).sum())
                faults.append(f"arm {arm}: {wrong:,} probabilities are not numbers from 0 to 1; did training diverge?")
        if faults:
            raise ScoresFault(faults)

    @property
    def seeds(self) -> int:
        """Number of training seeds of every arm."""
        return len(next(iter(self.probabilities.values())))

    def user_codes(self) -> tuple[np.ndarray, int]:
        """Number the users from 0, in the order of their ids.

        Returns:
            [N] int64 codes and the number of users.
        """
        ids, codes = np.unique(self.user, return_inverse=True)
        return codes.astype(np.int64), len(ids)
