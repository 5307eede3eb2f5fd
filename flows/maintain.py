"""The maintain flow: check every file of the store, then drop old releases and unfinished training runs."""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from app.config import load_config
from app.input_lock import drop_left_inputs
from app.train_runs import drop_unfinished, releases_in_use
from app.verified import note_verification
from app.workplace import damaged_store, open_store
from base.faults import CheckFailed
from feature_store.database import command_line
from feature_store.retention import collect
from feature_store.verify import verify


@flow(name="maintain", flow_run_name="maintain {config}")
def maintain(config: str) -> list[str]:
    """Verify the store, then drop the releases that `keep:` in knowflow.yaml no longer asks for.

    Args:
        config: Path of knowflow.yaml.

    Returns:
        Names of the dropped releases.

    Raises:
        CheckFailed: A file is damaged; nothing is dropped then, for a repair may need what is old.
    """
    check(config)
    return drop(config)


@task(task_run_name="verify", cache_policy=NO_CACHE, persist_result=False)
def check(config: str) -> None:
    """Check every file of every release of a store; keep what is wrong as an artifact."""
    settings = load_config(config)
    report = verify(damaged_store(settings))
    note_verification(settings, report)
    found = [one for one in report.findings if not one.harmless]
    rows = [{"file": one.fault.file, "what": one.fault.what, "fix": one.fix} for one in found]
    create_table_artifact(key="verify", table=rows, description=f"{len(rows)} damaged of {report.files:,} files")
    if rows:
        files = ", ".join(row["file"] for row in rows[:5])
        raise CheckFailed(
            f"{len(rows):,} files of the store are damaged: {files}\n  see: knowflow verify, then: knowflow repair"
        )


@task(task_run_name="drop old releases", cache_policy=NO_CACHE, persist_result=False)
def drop(config: str) -> list[str]:
    """Drop old releases; keep the sizes before and after as an artifact."""
    settings, now = load_config(config), datetime.now(UTC)
    with open_store(settings).writer(command_line()) as writer:
        done = collect(writer, settings.keep, now, releases_in_use(settings.home_folder))
    killed = drop_unfinished(settings.home_folder, now)
    drop_left_inputs(settings.home_folder)
    row = {
        "dropped": len(done.dropped),
        "kept": len(done.kept),
        "unfinished runs": len(killed),
        "MB before": round(done.bytes_before / 1e6, 1),
        "MB after": round(done.bytes_after / 1e6, 1),
    }
    create_table_artifact(key="releases", table=[row], description="Old releases and their disk space")
    return list(done.dropped)
