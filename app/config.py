"""knowflow.yaml as one frozen object, composed of the rooms' own configs."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from app.home import Home, read_yaml
from app.options import HasOptions
from app.train_settings import with_settings_file
from base.frozen import Frozen
from base.plugins import PluginFault, find
from ctr.config import TrainConfig
from encoders.choose import setting_faults
from encoders.protocol import EncoderConfig
from engines.protocol import EngineConfig
from engines.ray.config import ExecutorConfig
from feature_store.gate import GatesConfig
from feature_store.retention import KeepConfig
from llm_tasks.pipeline.budget import Prices
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.task import TaskOptions
from prompts.library import Library
from recommenders.protocol import RECOMMENDERS
from retrieval.rewrites import RewritesConfig
from sources.config import SourceConfig, config_fault, parse_source_config
from sources.faults import KINDS, Fault, FaultKind, SourceFaults

SOURCE_KEYS = tuple(SourceConfig.model_fields)
NOT_IN_THE_FILE = ("path", "source")
_FIX = "edit {}; docs/reference/knowflow-yaml.md lists every setting"


class Config(Home):
    """All settings of knowflow.yaml."""

    reports_at: str | None = None
    """Address at which others find `report.html` of the home folder, such as https://reports.example.com/shop: links in
    Prefect point there. Without it they point to the file, which only this machine can open."""
    domain: str = "generic"
    """Name of a domain (films, books, news, generic), or the path of your own YAML file."""
    source: SourceConfig
    """The mapping of the data: events, items, users, queries, label, split, history."""
    skip_bad_rows: bool = False
    """true: leave out rows with faults of every kind, and report how many, instead of stopping."""
    skip: tuple[FaultKind, ...] = ()
    """Leave out rows with faults of these kinds only, and report how many of each. duplicates: ids that repeat;
    unknown_items, unknown_users: ids that are not in their table; bad_values: values that are missing or wrong;
    broken_lines: lines that cannot be read."""
    engine: EngineConfig = EngineConfig()
    """The engine and model that answer."""
    executor: ExecutorConfig = ExecutorConfig()
    """Where engine and encoders run: in the process of the command, or on a Ray cluster."""
    plugins: tuple[Path, ...] = ()
    """Folders of your own plug-ins, relative to the file: techniques, adapters, arms and so on as Python files, with
    prompts (`*.v1.md`) and `domains/*.yaml` beside them. CONTRIBUTING.md shows one of each kind."""
    prompts: Path | None = None
    """Folder of your own prompts (`*.v1.md`) and `domains/*.yaml`, relative to the file: they replace ours of the same
    name and version. By default `prompts` beside the file, if there is one. See docs/how-to/prompts.md."""
    tasks: dict[str, SerializeAsAny[TaskOptions]] = Field(default_factory=dict)
    """Tasks to run, with their options; by default all, except those that run only when they are named here."""
    encoders: dict[str, EncoderConfig] = Field(default_factory=lambda: dict(DEFAULT_ENCODERS))
    """Encoders by name."""
    gates: GatesConfig = GatesConfig()
    """What must hold before a release is published."""
    keep: KeepConfig = KeepConfig()
    """How long releases are kept by `knowflow release gc`."""
    rewrites: RewritesConfig = RewritesConfig()
    """How to make the served table of rewritten queries."""
    train: TrainConfig = TrainConfig()
    """How models are trained."""
    recommenders: dict[str, SerializeAsAny[Frozen]] = Field(default_factory=dict)
    """Options of recommenders by name, for `knowflow eval recommend`; its `--set` overrides them."""
    prices: Prices = Prices()
    """What tokens cost."""

    @field_validator("skip")
    @classmethod
    def _one_switch(cls, skip: tuple[FaultKind, ...], info: ValidationInfo) -> tuple[FaultKind, ...]:
        if skip and info.data.get("skip_bad_rows"):
            raise ValueError("skip_bad_rows: true already skips every kind; set only one of the two")
        return skip

    @field_validator("prompts")
    @classmethod
    def _check_prompts(cls, prompts: Path | None, info: ValidationInfo) -> Path | None:
        folder = info.data["path"].parent
        if prompts is not None and not (folder / prompts).is_dir():
            raise ValueError(f"there is no folder {prompts} (relative to knowflow.yaml); make it, or correct the path")
        return prompts

    def skipped(self) -> tuple[FaultKind, ...]:
        """Return the kinds of faults whose rows are left out."""
        return KINDS if self.skip_bad_rows else self.skip

    @property
    def plugin_folders(self) -> tuple[Path, ...]:
        """Absolute folders of the user's plug-ins."""
        return tuple((self.folder / folder).resolve() for folder in self.plugins)

    @property
    def own_prompts(self) -> Path:
        """Absolute folder of the user's own prompts, whether it exists or not."""
        return (self.folder / (self.prompts or OWN_PROMPTS)).resolve()

    @property
    def library(self) -> Library:
        """Where prompts and domains are looked for."""
        return Library(self.plugin_folders, self.own_prompts if self.own_prompts.is_dir() else None)


OWN_PROMPTS = "prompts"
DEFAULT_ENCODERS = {"dense": EncoderConfig(kind="dense"), "lexical": EncoderConfig(kind="lexical")}


def load_config(path: str | Path) -> Config:
    """Read knowflow.yaml.

    Raises:
        SourceFaults: With all faults of the file at once.
    """
    path = Path(path).resolve()
    content = read_yaml(path)
    faults: list[Fault] = []
    source: SourceConfig | None = None
    try:
        source = parse_source_config({key: content[key] for key in SOURCE_KEYS if key in content}, path)
    except SourceFaults as error:
        faults += error.faults
    rest = {key: value for key, value in content.items() if key not in SOURCE_KEYS}
    mine = {key: field for key, field in Config.model_fields.items() if key not in NOT_IN_THE_FILE}
    shown = {**SourceConfig.model_fields, **mine}
    wrong = [({"type": "extra_forbidden", "loc": (key,), "msg": ""}, shown) for key in rest if key not in mine]
    if "train" in rest:
        rest["train"], train_faults = with_settings_file(rest["train"], path)
        faults += train_faults
    plugins, plugin_faults = _read_plugins(rest.get("plugins"), path)
    tasks, wrong_options, task_faults = _read_options("tasks", rest, partial(find_tasks, plugins), path)
    named, wrong_named, named_faults = _read_options("recommenders", rest, partial(find, RECOMMENDERS, plugins), path)
    try:
        # A stand-in mapping lets the rest be validated even when the mapping is wrong, to report all faults at once.
        known = {key: value for key, value in rest.items() if key in mine}
        read = {"tasks": tasks, "recommenders": named, "path": path, "source": source or _STAND_IN}
        config = Config.model_validate({**known, **read})
    except ValidationError as error:
        wrong += [(dict(detail), shown) for detail in error.errors()]
        config = None
    wrong += [*setting_faults(rest.get("encoders"), plugins), *wrong_options, *wrong_named]
    wrong.sort(key=lambda one: [*mine].index(one[0]["loc"][0]) if one[0]["loc"][0] in mine else -1)
    faults += [config_fault(path, detail, known) for detail, known in wrong]
    faults += [*plugin_faults, *task_faults, *named_faults]
    if faults or config is None:
        raise SourceFaults(faults)
    return config


_STAND_IN = SourceConfig.model_validate(
    {
        "events": {"path": "e", "user": "u", "item": "i", "time": "t", "label": "l"},
        "items": {"path": "i", "id": "i", "title": "t"},
    }
)


def _read_plugins(said: Any, path: Path) -> tuple[tuple[Path, ...], list[Fault]]:
    """Import the folders of plug-ins, so that a broken file is reported with all other faults."""
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        return (), []  # pydantic reports what is wrong
    folders = tuple((path.parent / one).resolve() for one in said)
    missing = [one for one, folder in zip(said, folders, strict=True) if not folder.is_dir()]
    fix = "correct the path (relative to knowflow.yaml), or remove it"
    faults = [Fault(path.name, None, "plugins", one, "there is no such folder", fix) for one in missing]
    try:
        find_tasks(folders)
    except PluginFault as error:
        what, _, fix = str(error).rpartition("\n")
        return (), [*faults, Fault(path.name, None, "plugins", None, what, fix.strip())]
    return folders, faults


def _read_options(
    section: str, rest: dict[str, Any], find_known: Callable[[], Mapping[str, HasOptions]], path: Path
) -> tuple[dict[str, Any], list[tuple[dict[str, Any], dict[str, FieldInfo]]], list[Fault]]:
    """Take a section of plug-ins by name, and check the options of each against those that it declares.

    Returns:
        Plug-in -> its options; what is wrong with them, as pydantic says it, with the settings there are; other faults.
    """
    said = rest.pop(section, None)
    if not isinstance(said, dict):
        fault = Fault(path.name, None, section, None, "should hold settings", _FIX.format(path.name))
        return {}, [], [] if said is None else [fault]
    known, options, faults = find_known(), {}, list[Fault]()
    wrong: list[tuple[dict[str, Any], dict[str, FieldInfo]]] = []
    for name, given in said.items():
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            what = f"is not a {section[:-1]}"
            what += f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known)}"
            faults.append(Fault(path.name, None, f"{section}.{name}", None, what, _FIX.format(path.name)))
            continue
        kind = known[name].options
        try:
            options[name] = kind.model_validate(given if given is not None else {})
        except ValidationError as error:
            fields = {section: FieldInfo(annotation=kind)}
            wrong += [({**detail, "loc": (section, name, *detail["loc"])}, fields) for detail in error.errors()]
    return options, wrong, faults
