"""Files of an export: compressed if the name ends with ``.gz``, and complete or not there at all."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from valkey_vector.errors import ConfigurationError, InvalidInputError, ServerError
from valkey_vector.operations.transfer.lines import encode_end

__all__ = ["Source", "Target", "reading", "writing"]

Source = str | Path | BinaryIO
"""A path, or an open binary stream, which is not closed."""

Target = str | Path | BinaryIO
"""A path, or an open binary stream, which is not closed."""

_END = encode_end(0)[:12]
_LONGEST_END = 100
"""Bytes that the last line has at most."""


@contextmanager
def writing(target: Target, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file for an export. It gets its name when the block has ended without an error.

    Raises:
        ConfigurationError: the file exists and `overwrite` is False, or it cannot be written.
    """
    if not isinstance(target, str | Path):
        yield target
        target.flush()
        return
    path = Path(target)
    if path.exists() and not overwrite:
        raise ConfigurationError(f"the file {path} exists: remove it, or pass overwrite (--force)")
    partial = path.with_name(f"{path.name}.partial")
    try:
        with _opened(partial, path.suffix == ".gz", "wb") as file:
            yield file
        partial.replace(path)
    except ServerError:
        raise  # an outage is an OSError, too
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def reading(source: Source) -> Iterator[Iterator[bytes]]:
    """Open the file of an export, and iterate over its lines.

    Raises:
        ConfigurationError: the file cannot be read.
        InvalidInputError: it is not complete.
    """
    if not isinstance(source, str | Path):
        yield iter(source)
        return
    path = Path(source)
    try:
        compressed = path.suffix == ".gz"
        if not compressed:
            _check_end(path)
        with _opened(path, compressed, "rb") as file:
            yield _lines(file, path)
    except ServerError:
        raise  # an outage is an OSError, too
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error


def _lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInputError(
            f"{path} is damaged or incomplete: {error}; export again"
        ) from error


def _check_end(path: Path) -> None:
    """Check that an uncompressed file has its last line, before anything is written.

    Raises:
        InvalidInputError: it has not.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LONGEST_END))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    if not last.startswith(_END):
        raise InvalidInputError(
            f"{path} ends without the last line of an export: the export was interrupted, so export again"
        )


def _opened(path: Path, compressed: bool, mode: str) -> BinaryIO:
    if compressed:
        return cast("BinaryIO", gzip.open(path, mode, compresslevel=6))
    return cast("BinaryIO", path.open(mode))
