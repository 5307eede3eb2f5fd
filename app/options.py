"""Reads command-line words: options of a plug-in, vectors of a release."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import ValidationError

from base.faults import WrongUse
from base.frozen import Frozen
from feature_store.lineage import VectorName


class HasOptions(Protocol):
    """A plug-in with options."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def options(self) -> type[Frozen]:
        """The model of its options."""
        ...


def options_of(one: HasOptions, given: Mapping[str, Any]) -> Frozen:
    """Validate the options that a user gave to a plug-in.

    Raises:
        WrongUse: Some are invalid; the text names all of them.
    """
    try:
        return one.options.model_validate(dict(given))
    except ValidationError as error:
        faults = [f"{one.name}.{'.'.join(map(str, of['loc']))}: {of['msg']}" for of in error.errors()]
        fields = ", ".join(one.options.model_fields) or "none"
        raise WrongUse("\n".join(faults) + f"\n  options of {one.name}: {fields}") from None


def task_and_encoder(name: str) -> VectorName:
    """Split the name of released vectors.

    Raises:
        WrongUse: It does not have the form technique/encoder.
    """
    found = VectorName.read(name)
    if not all(found):
        raise WrongUse(f"vectors {name}: should be technique/encoder\n  example: item_facts/dense")
    return found
