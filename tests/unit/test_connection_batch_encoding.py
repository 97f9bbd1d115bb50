"""Arguments of a batch in GLIDE's C structures: the fast conversion is the same as GLIDE's own, and is in use."""

from __future__ import annotations

from typing import Any

import glide_sync as glide
import pytest
from glide_shared._glide_ffi import _GlideFFI
from hypothesis import given
from hypothesis import strategies as st

from valkey_vector.connection import batch_encoding
from valkey_vector.connection.batch_encoding import encode_batch, with_fast_batches

_FFI: Any = _GlideFFI().ffi  # type: ignore[no-untyped-call]  # GLIDE's

_arguments = st.text() | st.binary(max_size=40)
_batches = st.lists(st.tuples(st.integers(0, 2_000), st.lists(_arguments, max_size=6)), max_size=6)


def _client() -> Any:
    """A GLIDE client that is not connected."""
    kind: Any = glide.GlideClient
    client = kind.__new__(kind)
    client._ffi = _FFI
    return client


def _read(batch: Any) -> tuple[list[tuple[int, list[bytes]]], bool]:
    """Read GLIDE's structure of a batch."""
    commands = [batch.cmds[number] for number in range(batch.cmd_count)]
    return [
        (
            command.request_type,
            [
                bytes(_FFI.buffer(command.args[at], command.args_len[at]))
                for at in range(command.arg_count)
            ],
        )
        for command in commands
    ], bool(batch.is_atomic)


@given(commands=_batches, is_atomic=st.booleans())
def test_encodes_a_batch_as_glide_does(
    commands: list[tuple[int, list[str | bytes]]], is_atomic: bool
) -> None:
    own, held_by_own = _client()._convert_commands_to_c_batch_info(commands, is_atomic)
    fast, held_by_fast = encode_batch(_FFI, commands, is_atomic)
    assert _read(fast) == _read(own)
    assert held_by_own
    assert held_by_fast


@pytest.mark.parametrize("argument", [5, None, ["GET"]])
def test_an_argument_that_is_neither_text_nor_bytes_raises(argument: Any) -> None:
    with pytest.raises(TypeError):
        encode_batch(_FFI, [(1, ["SET", argument])], False)


def test_text_with_a_lone_surrogate_raises() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_batch(_FFI, [(1, ["GET", "\ud800"])], False)


def test_clients_of_the_installed_glide_encode_batches_fast() -> None:
    client = with_fast_batches(_client())
    assert "_convert_commands_to_c_batch_info" in vars(client)


@pytest.mark.parametrize("what", ["field", "structure", "parameter", "result"])
def test_a_glide_client_with_another_conversion_keeps_it(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    client = _client()
    match what:
        case "field":
            known = {**batch_encoding._STRUCTURES, "BatchInfo": {"cmd_count": "long"}}
            monkeypatch.setattr(batch_encoding, "_STRUCTURES", known)
        case "structure":
            missing = {**batch_encoding._STRUCTURES, "Missing": {"count": "int"}}
            monkeypatch.setattr(batch_encoding, "_STRUCTURES", missing)
        case "parameter":
            client._convert_commands_to_c_batch_info = lambda commands, is_atomic, more=None: None
        case _:
            client._convert_commands_to_c_batch_info = lambda commands, is_atomic: (None, [])
    own = client._convert_commands_to_c_batch_info
    assert with_fast_batches(client)._convert_commands_to_c_batch_info == own
