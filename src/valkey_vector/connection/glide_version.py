"""Check of the installed GLIDE version.

``valkey-glide`` (asynchronous) and ``valkey-glide-sync`` both install the package ``glide_shared``.
At different versions, the package installed last overwrites files of the other one. pip does not
notice, and the other one fails with errors that name neither package.
"""

from __future__ import annotations

import re

from valkey_vector.errors import ConfigurationError

OLDEST = (2, 6)
BELOW = (3,)


def check_glide() -> None:
    """Check that GLIDE is installed in a supported version, and not partly overwritten.

    Raises:
        ConfigurationError: GLIDE is missing, has an unsupported version, or is overwritten by
            another GLIDE distribution. The message says what to install.
    """
    _check_versions(_installed("valkey-glide-sync"), _installed("valkey-glide"))


def _check_versions(ours: str | None, other: str | None) -> None:
    required = f"valkey-glide-sync>={'.'.join(map(str, OLDEST))},<{'.'.join(map(str, BELOW))}"
    if ours is None:
        raise ConfigurationError(
            f"the package valkey-glide-sync is not installed: pip install '{required}'"
        )
    if not OLDEST <= _numbers(ours) < BELOW:
        raise ConfigurationError(
            f"valkey-glide-sync {ours} is installed, which this library does not support: "
            f"pip install '{required}'"
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
