"""Which features of a release are wanted, and how they are laid out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from base.faults import WrongUse
from feature_store.lineage import technique_of


@dataclass(frozen=True)
class FeatureChoice:
    """Which features to add; without any choice, all but texts, knowledge about events, and what is computed."""

    tasks: tuple[str, ...] | None = None
    """Techniques, or parts of their answers (`once_profile.topics`); None = all about users and items."""
    encoders: tuple[str, ...] | None = None
    """Encoders of vectors; None = all."""
    columns: tuple[str, ...] | None = None
    """Names of features, or patterns such as `kar_*`; None = all but the texts, which no pattern includes either."""
    adapters: tuple[str, ...] = ()
    """Adapters of the click models, such as `similarity` and `quality`, whose inputs are computed from the log and the
    vectors of these techniques and encoders about items; `columns` does not leave them out."""
    half: bool = False
    """Whether vectors are written in half precision, as the store holds them."""
    indexed: bool = False
    """Whether a row holds the number of its vector in a table beside the file, instead of the vector."""

    def wants_task(self, task: str) -> bool:
        """Return whether a technique, or a part of its answers, is wanted."""
        return self.tasks is None or task in self.tasks or technique_of(task) in self.tasks

    def wants_encoder(self, encoder: str) -> bool:
        """Return whether vectors of an encoder are wanted."""
        return self.encoders is None or encoder in self.encoders

    def wants_column(self, name: str, by_default: bool = True) -> bool:
        """Return whether a feature is wanted; one that is not there by default only by its whole name.

        Example:
            >>> FeatureChoice(columns=("kar_*",)).wants_column("kar_item_dense")
            True
        """
        if self.columns is None:
            return by_default
        return name in self.columns or (by_default and any(fnmatchcase(name, one) for one in self.columns))


def check_names(word: str, names: Iterable[str] | None, there: Collection[str], where: str) -> None:
    """Check that names exist, all at once.

    Raises:
        WrongUse: Some do not.
    """
    if unknown := [name for name in names or () if name not in there]:
        raise WrongUse(f"{where}: no such {word}: {', '.join(unknown)}\n  there are: {', '.join(there) or 'none'}")


def column_name(*parts: str) -> str:
    """Join names into that of a column, which any reader of tables takes.

    Example:
        >>> column_name("once_profile.topics", "dense")
        'once_profile_topics_dense'
    """
    return "_".join("".join(sign if sign.isalnum() else "_" for sign in part) for part in parts)


Facts = Mapping[str, Any]
"""What the schema file says of a column."""
