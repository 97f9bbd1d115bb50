"""A large load returns the memory of its replies to the operating system."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

import pytest

from valkey_vector.engines.native.freed_memory import return_freed_memory


def resident() -> int:
    """Resident pages of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.parametrize("name", ["darwin", "win32"])
def test_other_systems_have_no_such_function(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("loaded"))
    return_freed_memory()


def test_a_c_library_without_the_function_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    return_freed_memory()


def test_freed_memory_is_returned() -> None:
    return_freed_memory()
    before = resident()
    small = [bytes(2_000) for _ in range(20_000)]
    last = bytes(2_000)  # above them, so that the memory below it is not returned by itself
    taken = resident() - before
    del small
    return_freed_memory()
    if platform.libc_ver()[0] == "glibc":
        assert resident() - before < taken / 2
    assert len(last) == 2_000
