"""Which errors a user can meet, and with which exit code the command line leaves."""

from dataclasses import dataclass

from ctr.faults import ArmFailed, UnknownArm
from feature_store.database import DuplicateKeys, StoreBusy
from feature_store.gates import GatesClosed
from feature_store.releases import NoRelease
from flows.train_runs import NoTrainRun
from llm_tasks.engine.choose import EngineFault
from llm_tasks.pipeline.catalogue import UnknownTask
from llm_tasks.pipeline.encode import NothingToFit
from llm_tasks.pipeline.workplace import OptionFault
from prompts.faults import PromptFault
from sources.faults import SourceFaults

CHECK_FAILED, WRONG_INPUT = 1, 2
CODES: dict[type[Exception], int] = {
    GatesClosed: CHECK_FAILED,
    DuplicateKeys: CHECK_FAILED,
    ArmFailed: CHECK_FAILED,
    SourceFaults: WRONG_INPUT,
    PromptFault: WRONG_INPUT,
    UnknownTask: WRONG_INPUT,
    UnknownArm: WRONG_INPUT,
    OptionFault: WRONG_INPUT,
    EngineFault: WRONG_INPUT,
    NoRelease: WRONG_INPUT,
    NoTrainRun: WRONG_INPUT,
    NothingToFit: WRONG_INPUT,
    StoreBusy: WRONG_INPUT,
}


@dataclass(frozen=True)
class Known:
    """An error that is explained in words."""

    text: str
    """What the user reads."""
    code: int
    """Exit code."""


def describe(error: Exception) -> Known | None:
    """Turn an error into words and an exit code; None for an error nobody expected."""
    for kind, code in CODES.items():
        if isinstance(error, kind):
            return Known(str(error), code)
    return None
