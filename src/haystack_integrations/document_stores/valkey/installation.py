"""`valkey-haystack` installs files of the same paths: notice when its and ours are mixed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["refuse_mixed_installation"]


def refuse_mixed_installation() -> None:
    """Make sure that `valkey-haystack` is not installed beside this package.

    Both write ``document_store.py`` and ``embedding_retriever.py`` to the same folders, so whichever was installed
    last has overwritten the other, and uninstalling one breaks what is left.

    Raises:
        ImportError: it is; says how to mend that.
    """
    try:
        found = version("valkey-haystack")
    except PackageNotFoundError:
        return
    raise ImportError(
        f"valkey-haystack {found} is installed beside valkey-vector, and both own the files of "
        "haystack_integrations.document_stores.valkey. Keep one: pip uninstall valkey-haystack, then "
        'pip install --force-reinstall --no-deps "valkey-vector"'
    )
