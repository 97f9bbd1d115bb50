"""What an index can be asked about itself: whether all that is kept of it agrees, and to mend what does not."""

from __future__ import annotations

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.errors import ConfigurationError
from valkey_vector.index.handle import Lifecycle
from valkey_vector.index.report import IndexReport
from valkey_vector.index.verification import Options, check_index

__all__ = ["CheckableIndex"]


class CheckableIndex:
    """The checking part of `valkey_vector.Index`.

    Args:
        lifecycle: of the index.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def verify(self, *, examples: int = 10, progress: bool | None = None) -> IndexReport:
        """Look at every key under the index's prefix and compare all that is kept of the index; changes no record.

        Others may write meanwhile. `docs/servers.md` lists what can be found.

        Args:
            examples: problems of each kind that are reported one by one; all are counted.
            progress: show a bar; None shows one on a terminal if there is more than one page of records.
        """
        return self.repair(examples=examples, progress=progress)

    def repair(
        self,
        *,
        dry_run: bool = True,
        remove_orphans: bool = False,
        remove_damaged: bool = False,
        examples: int = 10,
        progress: bool | None = None,
    ) -> IndexReport:
        """`verify` the index, and mend what is wrong unless it is a `dry_run`.

        Others may write meanwhile: a record is changed only if it is as it was looked at. Another program's keys never are.

        Args:
            dry_run: change nothing, and report how much would be mended.
            remove_orphans: remove documents of dropped indexes of this name also where no drop noted that they are to
                be removed.
            remove_damaged: take vectors of a wrong size, or with infinite or missing numbers, out of their records, and
                remove records that cannot be read.
            examples: problems of each kind that are reported one by one; all are counted.
            progress: show a bar; None shows one on a terminal if there is more than one page of records.

        Raises:
            ConfigurationError: `examples` is negative.
        """
        if examples < 0:
            raise ConfigurationError(f"examples must not be negative, not {examples}")
        options = Options(not dry_run, remove_orphans, remove_damaged, examples, progress)
        return check_index(self._lifecycle, options)

    averify = twin(verify)
    arepair = twin(repair)
