"""What can go wrong with arms, told in words."""

from collections.abc import Iterable, Mapping


class UnfitKept(Exception):
    """A kept model cannot read these samples, or is no model.

    Args:
        folder: Where it was kept.
        why: What does not fit.
    """

    def __init__(self, folder: str, why: str) -> None:
        self.folder, self.why = folder, why
        super().__init__(f"{folder}: {why}\n  train again: knowflow train")


class UnfitVectors(Exception):
    """Vectors that an adapter cannot take together.

    Args:
        why: Why they must be of one length, as `... shares ...`.
        widths: Length of each, by its name.
    """

    def __init__(self, why: str, widths: Mapping[str, int]) -> None:
        self.why, self.widths = why, dict(widths)
        lengths = ", ".join(f"{name} has {width}" for name, width in self.widths.items())
        fix = "let it read vectors of one length, such as those of one dense encoder"
        super().__init__(f"{why}, so its vectors must be of one length: {lengths}\n  {fix}")


class UnfitExamples(Exception):
    """Examples made of events that are not for training: to show them would give validation or test labels away.

    Args:
        task: The technique that made them.
        wrong: How many there are.
        total: Of how many.
        first: The first of them, in words.
    """

    def __init__(self, task: str, wrong: int, total: int, first: str) -> None:
        self.task, self.wrong, self.total, self.first = task, wrong, total, first
        super().__init__(
            f"{task}: {wrong:,} of {total:,} examples are events that the split keeps for validation or test, "
            f"such as {first}\n  make the examples anew under this split: knowflow refresh --task {task}"
        )


class UnfitBackbone(Exception):
    """An arm whose adapters learn with the model, under a backbone that learns nothing but trees.

    Args:
        arm: Name of the arm.
        adapters: Its adapters that learn.
    """

    def __init__(self, arm: str, adapters: Iterable[str]) -> None:
        self.arm, self.adapters = arm, tuple(adapters)
        super().__init__(
            f"arm {arm}: {', '.join(self.adapters)} learns with the model, which trees alone cannot\n"
            "  name another backbone in knowflow.yaml: train: {backbone: blend}, or a network such as dcnv2"
        )


class ArmFailed(Exception):
    """Training an arm failed; the text holds what its process said last."""
