"""The group of all verbs, and how their errors end the process."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

import click

import valkey_vector
from valkey_vector.command_line import (
    benchmarking,
    caching,
    checking,
    configuring,
    diagnosing,
    explaining,
    listing,
    measuring,
    reading,
    serving,
    tailing,
    transferring,
)
from valkey_vector.command_line.exit_codes import ExitCode, exit_code
from valkey_vector.errors import ValkeyVectorError

__all__ = ["application", "run"]


class _Verbs(click.Group):
    """The group of all verbs. It ends without an error if the reader of its output has ended, such as `head`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb. Click itself would exit with 1, which stands for problems that were found."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is left in the buffer is written at the end of the process: there is no reader for it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.OK
        return code


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(valkey_vector.__version__, prog_name="valkey-vector")
def application() -> None:
    """Inspect, search and check the indexes of valkey-vector on a server.

    A verb reads only, unless its description says that it changes something. Name the server with --url, or in the
    environment variable VALKEY_URL, which keeps a password out of the list of processes.
    """


for _verb in (
    *listing.VERBS,
    *reading.VERBS,
    *checking.VERBS,
    *caching.VERBS,
    *diagnosing.VERBS,
    *explaining.VERBS,
    *measuring.VERBS,
    *benchmarking.VERBS,
    *tailing.VERBS,
    *configuring.VERBS,
    *transferring.VERBS,
    *serving.VERBS,
):
    application.add_command(_verb)


def run() -> None:
    """Run the command with the arguments of the process, and exit with its code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    warnings.simplefilter("ignore")
    try:
        code = application.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.stderr.write("interrupted\n")
        sys.exit(ExitCode.INTERRUPTED)
    except ValkeyVectorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(exit_code(error))
    except OSError as error:
        # A file, or the standard output. An outage of the server is a ValkeyVectorError.
        sys.stderr.write(f"error: {error.filename or 'output'}: {error.strerror or error}\n")
        sys.exit(ExitCode.FAILED)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)
