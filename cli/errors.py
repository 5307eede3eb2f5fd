"""Which errors a user can meet, and with which exit code the command line leaves."""

from dataclasses import dataclass

from app.children import ChildFailed, ChildFault
from app.train_runs import NoTrainRun
from base.plugins import PluginFault, UnknownPlugin
from cli.asking import Unlimited
from ctr.faults import ArmFailed, UnfitExamples, UnfitKept, UnfitVectors
from engines.choose import EngineFault
from evals.evaluate import ScoresFault
from feature_store.database import DuplicateKeys, OtherVersion, StoreBusy, StoreUnwritable
from feature_store.gates import GatesClosed
from feature_store.releases import NoRelease
from flows.server import NoServer
from llm_tasks.pipeline.budget import BudgetReached
from llm_tasks.pipeline.encode import NothingToFit
from llm_tasks.pipeline.workplace import OptionFault
from prompts.faults import PromptFault
from retrieval.similar import UnknownItem
from sources.faults import SourceFaults
from sources.queries import UnfitQuery
from tuning.workfolder import TuningFault

CHECK_FAILED, WRONG_INPUT = 1, 2
CODES: dict[type[Exception], int] = {
    GatesClosed: CHECK_FAILED,
    BudgetReached: CHECK_FAILED,
    DuplicateKeys: CHECK_FAILED,
    StoreUnwritable: CHECK_FAILED,
    ArmFailed: CHECK_FAILED,
    ChildFailed: CHECK_FAILED,
    ScoresFault: CHECK_FAILED,
    ChildFault: WRONG_INPUT,
    Unlimited: WRONG_INPUT,
    NoServer: WRONG_INPUT,
    SourceFaults: WRONG_INPUT,
    PromptFault: WRONG_INPUT,
    UnknownPlugin: WRONG_INPUT,
    PluginFault: WRONG_INPUT,
    UnfitExamples: WRONG_INPUT,
    UnfitKept: WRONG_INPUT,
    UnfitVectors: WRONG_INPUT,
    OptionFault: WRONG_INPUT,
    EngineFault: WRONG_INPUT,
    TuningFault: WRONG_INPUT,
    NoRelease: WRONG_INPUT,
    NoTrainRun: WRONG_INPUT,
    NothingToFit: WRONG_INPUT,
    UnfitQuery: WRONG_INPUT,
    UnknownItem: WRONG_INPUT,
    StoreBusy: WRONG_INPUT,
    OtherVersion: WRONG_INPUT,
}


@dataclass(frozen=True)
class Known:
    """An error that is explained in words."""

    text: str
    """What the user reads."""
    code: int
    """Exit code."""


def describe(error: Exception) -> Known:
    """Turn an error into words and an exit code."""
    for kind, code in CODES.items():
        if isinstance(error, kind):
            return Known(str(error), code)
    if isinstance(error, OSError) and error.filename is not None:
        fix = "fix the path, the rights or the disk, and run this again"
        return Known(f"{error.filename}: {error.strerror}\n  {fix}", WRONG_INPUT)
    # Not foreseen: a fault of ours, or of a library.
    why = f"{type(error).__name__}: {error}".rstrip(": ")
    return Known(f"something went wrong that should not: {why}\n  its traceback: add --debug", CHECK_FAILED)
