"""Detection of a conflicting `valkey-haystack` installation."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["refuse_mixed_installation"]


def refuse_mixed_installation() -> None:
    """Raise if `valkey-haystack` is installed together with this package.

    Both install ``document_store.py`` and ``embedding_retriever.py`` into the same folders. The package installed last
    overwrites the other, and uninstalling one breaks the other.

    Raises:
        ImportError: if both are installed. It contains the commands to repair the installation.
    """
    try:
        found = version("valkey-haystack")
    except PackageNotFoundError:
        return
    raise ImportError(
        f"valkey-haystack {found} is installed together with valkey-vector, and both install the files of "
        "haystack_integrations.document_stores.valkey. Keep one: pip uninstall valkey-haystack, then "
        'pip install --force-reinstall --no-deps "valkey-vector"'
    )
