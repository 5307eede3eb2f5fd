"""Prefect settings for runs that start their own temporary server; settings of the user stay."""

import os
import warnings
from pathlib import Path


def set_defaults() -> None:
    """Give the temporary server time to start on a busy machine, and turn off analytics."""
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Of Prefect's home only the user's settings are read; what a run writes has a place of its own.
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory")


def keep_in(home: Path) -> None:
    """Use a temporary server with its database under a folder, whatever server the user has configured."""
    os.environ.pop("PREFECT_API_URL", None)
    (home / "prefect").mkdir(parents=True, exist_ok=True)  # Prefect does not create parent folders
    os.environ["PREFECT_HOME"] = str(home / "prefect")
    os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = str(home / "prefect" / "results")
    os.environ["PREFECT_SERVER_MEMO_STORE_PATH"] = str(home / "prefect" / "memo.toml")
