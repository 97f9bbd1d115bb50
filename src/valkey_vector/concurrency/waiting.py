"""Wait until a server has indexed what was there before the index, with a bar if wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from valkey_vector.errors import RequestTimeoutError

__all__ = ["wait_until_indexed"]

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5


def wait_until_indexed(
    share: Callable[[], float], name: str, timeout: float, progress: bool | None
) -> None:
    """Ask again and again until all is indexed.

    Args:
        share: asks how much is indexed, 0 to 1.
        name: of the index, for the error.
        timeout: seconds.
        progress: show a bar; None shows one on a terminal, if there is something to wait for.

    Raises:
        RequestTimeoutError: it took longer.
    """
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    done = share()
    shown = progress if progress is not None else done < 1.0 and sys.stderr.isatty()
    from tqdm import tqdm

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
            pause = min(_LONGEST_PAUSE, 2 * pause)
            done = share()
