"""Options that every verb has, and the connection that it uses."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from valkey_vector.connection import Connection
from valkey_vector.connection.client import URL_VARIABLE

__all__ = ["Session", "read_json", "with_output", "with_server"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """The server and the form of output that the user chose.

    Attributes:
        url: the server. May contain a password, so it is never printed.
        as_json: print JSON instead of tables.
        timeout: seconds to wait for a reply; None for the value in the URL.
        quiet: print no progress and no notes on the standard error.
    """

    url: str
    as_json: bool
    timeout: float | None
    quiet: bool = False

    def __repr__(self) -> str:
        return f"Session(as_json={self.as_json})"

    @property
    def progress(self) -> bool | None:
        """The argument `progress` of methods with a progress bar: None shows one on a terminal."""
        return False if self.quiet else None

    def say(self, text: str) -> None:
        """Print a line of progress on the standard error, unless the user wants it quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def at(self, url: str) -> Session:
        """The same settings for another server."""
        return replace(self, url=url)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open a connection, and close it at the end of the block."""
        options = {} if self.timeout is None else {"request_timeout": self.timeout}
        with Connection.open(self.url, **options) as connection:
            yield connection


def with_server(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options `--url`, `--json`, `--timeout` and `--quiet` to a verb, which receives a `Session` first."""

    @click.option(
        "--url",
        envvar=URL_VARIABLE,
        help=f"The server, such as valkey://host:6379. Default: the environment variable {URL_VARIABLE}.",
    )
    @with_output
    @functools.wraps(command)
    def run(session: Session, *args: Any, url: str | None, **rest: Any) -> T:
        if not url:
            raise click.UsageError(
                f"no server: pass --url, or set the environment variable {URL_VARIABLE}"
            )
        return command(session.at(url), *args, **rest)

    return run


def with_output(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of `with_server` without `--url`, for a verb that names its servers in another way."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
    @click.option("--timeout", type=float, help="Seconds to wait for a reply.")
    @click.option("-q", "--quiet", is_flag=True, help="No progress on the standard error.")
    @functools.wraps(command)
    def run(*args: Any, as_json: bool, timeout: float | None, quiet: bool, **rest: Any) -> T:
        return command(Session("", as_json, timeout, quiet), *args, **rest)

    return run


def read_json(text: str | None, option: str) -> Any:
    """Parse the JSON of an option, or of the file that ``@path`` names. None for None.

    Raises:
        click.BadParameter: the text is not JSON, or the file cannot be read.
    """
    if text is None:
        return None
    try:
        source = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        return json.loads(source)
    except OSError as error:
        raise click.BadParameter(
            f"cannot read {text[1:]}: {error.strerror}", param_hint=option
        ) from error
    except ValueError as error:
        raise click.BadParameter(f"not valid JSON: {error}", param_hint=option) from error
