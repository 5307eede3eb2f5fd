"""The nightly flow: refresh, train, report, one after the other."""

from prefect import flow

from app.asking import Asking
from app.clicks import check_clicks
from app.comparison import finished_run
from app.config import load_config
from app.train_runs import get_run
from flows.ends import named_ends
from flows.refresh import refresh
from flows.report import report
from flows.train import train


@flow(name="nightly", flow_run_name="nightly {config}")
@named_ends
def nightly(
    config: str,
    tasks: list[str] | None = None,
    arms: list[str] | None = None,
    asking: Asking = Asking(),  # noqa: B008 - is frozen
) -> dict[str, str]:
    """Bring the store up to date, compare all arms on the new release, and write the report.

    A release that the newest run has compared already, with the same data and settings, is not trained on again.

    Args:
        config: Path of knowflow.yaml.
        tasks: Techniques to refresh; by default those of knowflow.yaml.
        arms: Arms to train; by default a full comparison.
        asking: Limits of the refresh, errors to retry, another engine; see `Asking`.

    Returns:
        Names of the release and the training run, and the path of the report.

    Raises:
        ClicksFell: The gate over clicks blocks; the release is published and the report written.
    """
    release = refresh(config, tasks, asking)
    run = finished_run(load_config(config), arms, release) or train(config, arms, release, judged=False)
    page = report(config, run)
    check_clicks(get_run(load_config(config).home_folder, run))
    return {"release": release, "train_run": run, "report": page}
