"""Wait until a server has indexed the documents that existed before the index, with an optional progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, NoReturn

from valkey_vector.errors import RequestTimeoutError

if TYPE_CHECKING:
    from tqdm.auto import tqdm

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
    with _progress_bar(name) if shown else nullcontext() as bar:
        while True:
            if bar is not None:
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


def _progress_bar(name: str) -> tqdm[NoReturn]:
    # Imported when a bar is shown: it takes a quarter of a second.
    from tqdm.auto import tqdm

    return tqdm(total=100, desc=f"indexing {name}", unit="%", file=sys.stderr)
