"""The digest of the change log is the same in Python and in the scripts."""

from __future__ import annotations

import random

from servers import TestServer
from valkey_vector.connection.lua import read_lua
from valkey_vector.engines import native
from valkey_vector.engines.native.digest import DIGESTS, digest_of

SCRIPT = """
local total = 0
for i = 1, #ARGV do total = sum(total, mix(tonumber(ARGV[i]))) end
for i = 1, #ARGV, 2 do total = sum(total, -mix(tonumber(ARGV[i]))) end
return string.format('%.0f', total)
"""


def test_lua_and_python_compute_the_same_digest(native_server: TestServer) -> None:
    chosen = random.Random(3)
    numbers = [1, 67_108_859, 2**53 - 1, *(chosen.randrange(1, 2**53) for _ in range(500))]
    expected = sum(map(digest_of, numbers)) - sum(map(digest_of, numbers[::2]))
    script = f"{read_lua(native.__name__, 'digest')}\n{SCRIPT}"
    for number in numbers[:20]:
        # The first number is added twice and subtracted once.
        single = native_server.command("EVAL", script, "0", str(number), str(number))
        assert single == str(digest_of(number) % DIGESTS).encode()
    total = native_server.command("EVAL", script, "0", *map(str, numbers))
    assert total == str(expected % DIGESTS).encode()
