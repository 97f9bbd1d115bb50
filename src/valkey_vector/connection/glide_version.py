"""Checks that the GLIDE client installed is one this library is known to work with.

``valkey-glide`` (asynchronous) and ``valkey-glide-sync`` both install the package
``glide_shared``. Installed at different versions, the later one overwrites the files of the earlier
one, pip does not notice, and the earlier breaks in ways that name neither.
"""

from __future__ import annotations

import re

from valkey_vector.errors import ConfigurationError

OLDEST = (2, 6)
BELOW = (3,)


def check_glide() -> None:
    """Make sure that GLIDE can be imported and is not half overwritten.

    Raises:
        ConfigurationError: it is missing, of a version that does not fit, or overwritten by
            another GLIDE distribution; the message says what to install.
    """
    _check_versions(_installed("valkey-glide-sync"), _installed("valkey-glide"))


def _check_versions(ours: str | None, other: str | None) -> None:
    wanted = f"valkey-glide-sync>={'.'.join(map(str, OLDEST))},<{'.'.join(map(str, BELOW))}"
    if ours is None:
        raise ConfigurationError(
            f"the package valkey-glide-sync is not installed: pip install '{wanted}'"
        )
    if not OLDEST <= _numbers(ours) < BELOW:
        raise ConfigurationError(
            f"valkey-glide-sync {ours} is installed, which is not known to work here: "
            f"pip install '{wanted}'"
        )
    if other is not None and other != ours:
        raise ConfigurationError(
            f"valkey-glide {other} and valkey-glide-sync {ours} overwrite each other's files: "
            "install both at one version: pip install --force-reinstall --no-deps "
            f"valkey-glide=={ours} valkey-glide-sync=={ours}"
        )


def _installed(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(int(part) for part in release[0].split(".")) if release else ()
