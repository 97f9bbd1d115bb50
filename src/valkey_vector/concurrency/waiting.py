"""Wait until a server has indexed the documents that existed before the index, with an optional progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from valkey_vector.errors import RequestTimeoutError

__all__ = ["wait_until_indexed"]

_FIRST_PAUSE = 0.005
_MAX_PAUSE = 0.5


def wait_until_indexed(
    share: Callable[[], float], name: str, timeout: float, progress: bool | None
) -> None:
    """Poll until all documents are indexed.

    Args:
        share: fetches the indexed share, 0 to 1.
        name: name of the index, for the error.
        timeout: maximum time to wait in seconds.
        progress: show a progress bar. None shows one on a terminal if the index is not complete.

    Raises:
        RequestTimeoutError: the index was not complete in time.
    """
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    done = share()
    shown = progress if progress is not None else done < 1.0 and sys.stderr.isatty()
    from tqdm.auto import tqdm

    with tqdm(
        total=100, desc=f"indexing {name}", unit="%", disable=not shown, file=sys.stderr
    ) as bar:
        while True:
            bar.update(max(0, int(100 * done) - bar.n))
            if done >= 1.0:
                return
            if time.monotonic() > deadline:
                raise RequestTimeoutError(
                    f"index {name!r} is {done:.0%} indexed after {timeout:g} s"
                )
            time.sleep(pause)
            pause = min(_MAX_PAUSE, 2 * pause)
            done = share()
