"""Small texts of a store in a bucket, changed by one process at a time: an empty Lance table whose config holds them.

A commit of Lance is a conditional write: of two processes that change the same text at once, one gets an error. So this
needs no service but the bucket, and no client but Lance's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import lance
import pyarrow as pa
from tenacity import RetryError, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from feature_store.damage import reading
from feature_store.identity import StoreFault

NAME = "control"
"""Name of the table; it holds no rows."""
KEPT = timedelta(hours=1)
"""Old versions are kept this long: each change makes one."""
TRIES = 20
"""Times that a change is tried while other processes change other texts."""
PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Maximum seconds before the second try, doubled for each further one, and their limit; a pause is random up to it."""


@dataclass(frozen=True)
class Control:
    """The texts of one store; reading creates nothing.

    Args:
        address: Address of the store.
        options: LanceDB's storage options.
    """

    address: str
    options: Mapping[str, str] = field(repr=False)

    def read(self) -> Mapping[str, str]:
        """Return name -> text; empty without a store.

        Raises:
            StoreFault: The bucket cannot be read.
        """
        dataset = self._open()
        return {} if dataset is None else dataset.config()

    def change(self, name: str, old: str | None, new: str) -> bool:
        """Replace a text; return whether it still was the old one (None = there was none), and so was replaced.

        Raises:
            StoreFault: The bucket cannot be written, or other processes were faster each time.
        """
        tries = Retrying(
            retry=retry_if_result(lambda changed: changed is None),
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=PAUSE, max=LONGEST_PAUSE),
        )
        try:
            return bool(tries(self._try, name, old, new))
        except RetryError:
            raise StoreFault(
                f"{self.address}: the store's '{name}' could not be changed, because other processes were faster"
                f" {TRIES} times in a row\n  see what else writes to this address, then run the same command again"
            ) from None

    def _try(self, name: str, old: str | None, new: str) -> bool | None:
        """Replace a text once; None if another process was faster, perhaps with another text."""
        with reading(self.address):
            dataset = self._open()
            if dataset is None:  # an empty table is false
                dataset = self._create()
            if dataset.config().get(name) != old:
                return False
            return self._commit(dataset, {name: new}) or None

    def tidy(self) -> None:
        """Delete old versions."""
        with reading(self.address):
            dataset = self._open()
            if dataset is not None:
                dataset.cleanup_old_versions(KEPT)

    def _open(self) -> lance.LanceDataset | None:
        with reading(self.address):
            try:
                return lance.dataset(self._uri, storage_options=dict(self.options))
            except ValueError as error:
                if "was not found" in str(error):
                    return None
                raise

    def _create(self) -> lance.LanceDataset:
        empty = pa.schema([pa.field("nothing", pa.utf8())]).empty_table()
        try:
            return lance.write_dataset(empty, self._uri, mode="create", storage_options=dict(self.options))
        except OSError as error:
            if "already exists" not in str(error):
                raise
            return lance.dataset(self._uri, storage_options=dict(self.options))

    def _commit(self, dataset: lance.LanceDataset, texts: dict[str, str]) -> bool:
        """Commit on top of the version that was read; return False if another process was faster."""
        try:
            dataset.update_config({**texts})
        except OSError as error:
            if "ncompatible transaction" not in str(error) and "conflict" not in str(error).lower():
                raise
            return False
        return True

    @property
    def _uri(self) -> str:
        return f"{self.address}/{NAME}.lance"
