"""knowflow prompts eval: measures what versions of a prompt are like and worth, and fails where a bound is not kept."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.trial_evaluation import Wanted, evaluate_trial
from app.trial_plan import plan_trial
from app.trial_results import TrialResult, caveats_of, not_kept, result_facts, tests_told, write_result
from cli.asking import BaseUrls, EngineName, ModelName, model_path
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say, say_next
from cli.prompts.trial_options import TaskName, TrialOptions, print_plan, this_command
from evals.prompts.tables import measure_tables, short_name
from evals.prompts.thresholds import read_bounds


@Parameter(name="*")
@dataclass(frozen=True)
class MoreOptions:
    """What else to ask, and which bounds to keep."""

    worth: Annotated[
        bool, Parameter(negative="--no-worth", help="Measure what the versions are worth to the recommender.")
    ] = True
    judge: Annotated[bool, Parameter(negative="", help="Let a model judge pairs of texts, in both orders.")] = False
    judge_engine: EngineName = None
    judge_model: ModelName = None
    judge_base_url: BaseUrls = None
    repeat: Annotated[
        int, Parameter(help="Answers of each question, to see how alike they are.", validator=Number(gte=1, lte=8))
    ] = 1
    fail_under: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="MEASURE=VALUE: exit code 1 if the last version is below it; repeatable."),
    ] = ()
    fail_over: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="MEASURE=VALUE: exit code 1 if the last version is above it; repeatable."),
    ] = ()

    @property
    def wanted(self) -> Wanted:
        """Return what to ask besides the answers."""
        return Wanted(
            self.worth, self.judge, self.judge_engine, model_path(self.judge_model), self.judge_base_url, self.repeat
        )


def evaluate(
    task: TaskName,
    /,
    *,
    versions: Annotated[
        str, Parameter(help="Versions, with commas: v1,v2. The first is compared with, the last held to the bounds.")
    ],
    options: TrialOptions = TrialOptions(),  # noqa: B008 - is frozen
    more: MoreOptions = MoreOptions(),
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Measure versions of a prompt on the same sample of rows: texts, cost, worth; print tables, and write a page.

    No measure reads test rows. What was asked once is not asked again. With bounds, a script or a pull request fails
    where the last version does not keep them.

    Example: knowflow prompts eval kar_item --versions v1,v2 --config examples/movielens/knowflow.yaml
    """
    least, most = read_bounds("--fail-under", more.fail_under), read_bounds("--fail-over", more.fail_over)
    settings = options.settings(config)
    plan = plan_trial(settings, task, versions.split(","), options.sample, options.seed)
    if not json:
        print_plan(plan)
    with bars():
        result = evaluate_trial(settings, plan, more.wanted, options.limits)
    page = write_result(settings, result, this_command())
    last = result.trial.versions[-1]
    broken = not_kept(result, least, most)
    if json:
        print_json({**result_facts(result), "broken": broken, "page": str(page)})
    else:
        _print_result(result)
        print_line(f"page  {page}")
    for sentence in broken:
        say(sentence)
    if not json and not broken:
        say_next(f"prompts show {last}", config)
    return 1 if broken else 0


def _print_result(result: TrialResult) -> None:
    """Print a table for each kind of measure, why something was not measured, and what follows."""
    versions = result.trial.versions
    for table in measure_tables(result.measured, versions):
        print_table(table.caption, table.columns, [[name, *cells] for name, _, cells in table.rows])
    for one in result.measured:
        for version, figure in one.figures.items():
            if figure.mean is None:
                say(f"  {one.name} of {short_name(version, versions)} was not measured: {figure.why}")
    for sentence in (*result.verdicts, *tests_told(result.tested, versions)):
        print_line(sentence)
    for caveat in caveats_of(result):
        say(f"note: {caveat}")
