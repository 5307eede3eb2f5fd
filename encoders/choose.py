"""Find the kinds of encoders that knowflow.yaml can name, and check the settings of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from base.plugins import Kind, choose, find
from encoders.protocol import EncoderConfig, EncoderKind

ENCODERS = Kind("encoder", "encoders", EncoderKind)


def kind_of(config: EncoderConfig, folders: Sequence[Path] = ()) -> EncoderKind:
    """Return the kind of an encoder.

    Args:
        config: Its config in knowflow.yaml.
        folders: Folders of a team's own plug-ins.

    Raises:
        UnknownPlugin: There is no such kind.
    """
    (kind,) = choose(ENCODERS, [config.kind], folders)
    return kind


def setting_faults(encoders: Any, folders: Sequence[Path] = ()) -> list[tuple[dict[str, Any], dict[str, FieldInfo]]]:
    """Find everything that is wrong with the settings of encoders, using the options of each kind.

    Args:
        encoders: The content of `encoders:`; entries that are not mappings or have no kind are reported elsewhere.
        folders: Folders of a team's own plug-ins.

    Returns:
        For each fault, pydantic's error with its path from the top of the file, and the existing settings.
    """
    kinds, faults = find(ENCODERS, folders), []
    for name, given in encoders.items() if isinstance(encoders, Mapping) else ():
        if not isinstance(given, Mapping) or not isinstance(given.get("kind"), str):
            continue
        word = given["kind"]
        if word not in kinds:
            faults.append((_unknown(("encoders", str(name), "kind"), word, list(kinds)), EncoderConfig.model_fields))
            continue
        kind = kinds[word]
        fields = {**EncoderConfig.model_fields, **kind.options.model_fields}
        try:
            kind.options.model_validate({key: value for key, value in given.items() if key != "kind"})
        except ValidationError as error:
            for detail in error.errors():
                faults.append(({**detail, "loc": ("encoders", str(name), *detail["loc"])}, fields))
    return faults


def _unknown(place: tuple[str, ...], word: str, known: Sequence[str]) -> dict[str, Any]:
    *first, last = [repr(name) for name in known]
    there = f"{', '.join(first)} or {last}" if first else last
    return {"type": "literal_error", "loc": place, "msg": f"Input should be {there}", "input": word}
