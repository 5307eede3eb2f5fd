"""knowflow init --from NAME: what a preset says of the files in a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.init_guess import Draft, liked_from, propose_domain, split_lines
from cli.init_line import Line, yaml_value
from sources.config import parse_source_config
from sources.faults import Fault, SourceFaults
from sources.file_format import FileFormat
from sources.guess_preset import FORM, preset_tables
from sources.look import Look, look
from sources.preset import Preset, find_files, load_preset


def draft_of_preset(name: str, folder: Path, given: Mapping[str, Path]) -> Draft:
    """Map the files of a folder by a preset.

    Args:
        name: Name of one of ours, or the path of a YAML file.
        folder: Where the data set was unpacked.
        given: Paths that the user names: section -> path.

    Raises:
        WrongUse: There is no such preset.
        SourceFaults: Files or columns of the preset are missing; all are listed at once.
    """
    preset, why = load_preset(name), f"preset {Path(name).stem}"
    found = find_files(preset, folder, given)
    _check(preset, found, name)
    forms = {
        section: FileFormat(**{key: settings[key] for key in FORM[1:] if key in settings}, path="")
        for section, settings in found.items()
    }
    looks = look_at_all({section: (settings["path"], forms[section]) for section, settings in found.items()})
    tables = preset_tables(found, looks, why, "negatives" in preset.label)
    label = [Line(key, yaml_value(value), why) for key, value in preset.label.items()]
    split = [
        Line(line.name, yaml_value(preset.split[line.name]), why) if line.name in preset.split else line
        for line in split_lines(tables[0])
    ]
    domain = (preset.domain, f"that of the {why}") if preset.domain else propose_domain(tables[1])
    skip = Line("skip", yaml_value(preset.skip), why if preset.skip else "")
    return Draft(tables, domain, label or liked_from(tables[0]), split, skip)


def _check(preset: Preset, found: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Check the settings of a preset as those of a knowflow.yaml; what it leaves to be guessed is no fault."""
    mapping = {section: {**settings, "path": str(settings["path"])} for section, settings in found.items()}
    events, items = mapping["events"], mapping["items"]
    items.setdefault("title", "title")
    for section in {"items", "users"} & set(mapping):
        mapping[section].setdefault("id", "id")
    for role in ("user", "item", "time"):
        events.setdefault(role, role)
    if not ({"rating", "label", "impressions"} & set(events) or "negatives" in preset.label):
        events["label"] = "label"
    if isinstance(items["title"], list):
        items["title"] = items["title"][0]
    label = preset.label or ({"rating_at_least": 1} if "rating" in events else {})
    parse_source_config({**mapping, "label": label, "split": preset.split}, Path(f"{Path(name).stem}.yaml"))


def look_at_all(paths: Mapping[str, tuple[Path, FileFormat | None]]) -> dict[str, Look]:
    """Look at all files, and report the faults of all of them at once.

    Args:
        paths: Section -> the path, and what is known of how it is written.
    """
    looks: dict[str, Look] = {}
    faults: list[Fault] = []
    for section, (path, known) in paths.items():
        try:
            looks[section] = look(path, known)
        except SourceFaults as error:
            faults += error.faults
    if faults:
        raise SourceFaults(faults)
    return looks
