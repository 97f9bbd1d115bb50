"""The stand-in answers as a real Valkey-Search 1.2.1 was recorded to, for the commands that the project sends."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from servers import ServerReplyError, StandInServer, TestServer, start_server
from stand_in_state import RESULT_CAP
from valkey_vector import AuthenticationError
from valkey_vector.connection import Connection, SearchModule

VECTOR = b"\x00\x00\x80?" + bytes(12)
VECTORS = {
    "<vector>": VECTOR,
    "<second>": b"fff?\xcd\xcc\xcc=" + bytes(8),
    "<third>": bytes(4) + b"\x00\x00\x80?" + bytes(8),
    "<opposite>": b"\x00\x00\x80\xbf" + bytes(12),
    "<zero>": bytes(16),
    "<short>": bytes(12),
}
CREATE = (
    "FT.CREATE idx ON HASH PREFIX 1 d: SCHEMA v VECTOR HNSW 12 TYPE FLOAT32 DIM 4 DISTANCE_METRIC COSINE"
    " M 16 EF_CONSTRUCTION 200 EF_RUNTIME 10 t TAG n NUMERIC x TEXT"
)
DOCUMENTS = [
    "HSET d:1 v <vector> t red,blue n 1 x 'the quick brown fox' extra 'not indexed'",
    "HSET d:2 v <second> t red n 2 x 'running dogs'",
    "HSET d:3 v <third> t Green n 3.5 x 'hello world'",
    "HSET d:4 v <opposite> t blue n -4 x 'hello brave new world'",
    "HSET d:5 n 1e2",
]
KNN = "PARAMS 2 q <vector>"


@pytest.fixture(scope="module")
def server() -> Iterator[StandInServer]:
    with start_server(search=True, speaks="valkey-search-1.2.1") as server:
        assert isinstance(server, StandInServer)
        run(server, CREATE)
        for document in DOCUMENTS:
            run(server, document)
        yield server


def run(server: TestServer, command: str) -> Any:
    words = [VECTORS.get(word, word) for word in shlex.split(command)]
    return server.command(*words)


ERRORS = [
    (CREATE, "Index idx in database 0 already exists."),
    ("FT.CREATE e1", "Missing argument"),
    ("FT.CREATE e1 SCHEMA", "Index schema must have at least one attribute"),
    ("FT.CREATE e1 ON HASH t TAG", "Unexpected parameter `t`, expecting `SCHEMA`"),
    ("FT.CREATE e1 SCHEMA t TAG t NUMERIC", "Duplicate field in schema - t"),
    (
        "FT.CREATE e1 TEMPORARY 10 SCHEMA n NUMERIC",
        "Unexpected parameter `TEMPORARY`, expecting `SCHEMA`",
    ),
    ("FT.CREATE e1 PREFIX 1 a:{b}: SCHEMA t TAG", "PREFIX argument(s) must not contain a hash tag"),
    (
        "FT.ALTER idx SCHEMA ADD z TAG",
        "ERR unknown command 'FT.ALTER', with args beginning with: 'idx' 'SCHEMA' 'ADD' 'z' 'TAG' ",
    ),
    ("FT.TAGVALS idx t", "ERR unknown command 'FT.TAGVALS', with args beginning with: 'idx' 't' "),
    ("FT.DROPINDEX idx DD", "ERR wrong number of arguments for 'FT.DROPINDEX' command"),
    ("FT.DROPINDEX nope", "Index with name 'nope' not found in database 0"),
    ("FT.INFO", "ERR wrong number of arguments for 'FT.INFO' command"),
    ("FT.INFO nope", "Index with name 'nope' not found in database 0"),
    ("FT.INFO idx PRIMARY", "ERR PRIMARY option is not valid in this configuration"),
    ("FT.INFO idx CLUSTER", "ERR CLUSTER option is not valid in this configuration"),
    ("FT.SEARCH nope *", "Index with name 'nope' not found in database 0"),
    ("FT.SEARCH nope @t:{", "Index with name 'nope' not found in database 0"),
    ("FT.SEARCH idx", "Missing argument"),
    ("FT.SEARCH idx * LIMIT 0 3 NOCONTENT", "Invalid query string syntax"),
    ("FT.SEARCH idx '' NOCONTENT", "Invalid query string syntax"),
    (
        "FT.SEARCH idx '@n:[3 1]' NOCONTENT",
        (
            "Invalid filter expression: `@n:[3 1]`. Start and end values of a numeric field indicate an "
            "empty range. Position: 8"
        ),
    ),
    (
        "FT.SEARCH idx @n:[1] NOCONTENT",
        (
            "Invalid filter expression: `@n:[1]`. Expected space or `,` between start and end values of "
            "a numeric field. Position: 5"
        ),
    ),
    (
        "FT.SEARCH idx '@n:[a b]' NOCONTENT",
        "Invalid filter expression: `@n:[a b]`. Invalid number: ",
    ),
    (
        "FT.SEARCH idx @nope:{a} NOCONTENT",
        "Invalid filter expression: `@nope:{a}`. `nope` is not indexed as a tag field",
    ),
    (
        "FT.SEARCH idx '@t:[1 2]' NOCONTENT",
        "Invalid filter expression: `@t:[1 2]`. `t` is not indexed as a numeric field",
    ),
    (
        "FT.SEARCH idx @t:{red NOCONTENT",
        "Invalid filter expression: `@t:{red`. Missing closing TAG bracket, '}'",
    ),
    (
        "FT.SEARCH idx @t:{r*} NOCONTENT",
        "Invalid filter expression: `@t:{r*}`. Tag string `r*` is too short for prefix wildcard.",
    ),
    (
        "FT.SEARCH idx '@t:{red} |' NOCONTENT",
        "Invalid filter expression: `@t:{red} |`. Missing OR term",
    ),
    (
        "FT.SEARCH idx --@t:{red} NOCONTENT",
        "Invalid filter expression: `--@t:{red}`. Invalid Query Syntax",
    ),
    (
        "FT.SEARCH idx '(@t:{red}' NOCONTENT",
        "Invalid filter expression: `(@t:{red}`. Expected ')' after expression got ''. Position: 9",
    ),
    (
        "FT.SEARCH idx '@t:{red})' NOCONTENT",
        "Invalid filter expression: `@t:{red})`. Unexpected character at position 9: `)`",
    ),
    (
        f"FT.SEARCH idx '*=>[KNN 0 @v $q AS s]' {KNN} NOCONTENT",
        (
            "Invalid range: Value below minimum; KNN parameter must be a positive integer greater than 0 "
            "and cannot exceed 10000."
        ),
    ),
    (
        f"FT.SEARCH idx '*=>[KNN 10001 @v $q AS s]' {KNN} NOCONTENT",
        (
            "Invalid range: Value above maximum; KNN parameter must be a positive integer greater than 0 "
            "and cannot exceed 10000."
        ),
    ),
    (
        f"FT.SEARCH idx '*=>[KNN 2 @v $q EF_RUNTIME 0]' {KNN} NOCONTENT",
        (
            "Invalid range: Value below minimum; `EF_RUNTIME` must be a positive integer greater than 0 "
            "and cannot exceed 1000000."
        ),
    ),
    (
        f"FT.SEARCH idx '*=>[KNN 2 @zz $q AS s]' {KNN} NOCONTENT",
        "Index field `zz` does not exist",
    ),
    (
        f"FT.SEARCH idx '*=>[KNN 2 @t $q AS s]' {KNN} NOCONTENT",
        "Index field `t` is not a Vector index ",
    ),
    (
        "FT.SEARCH idx '*=>[KNN 2 @v $q]' PARAMS 2 q <short> NOCONTENT",
        (
            "Error parsing vector similarity parameters: query vector blob size (12) does not match "
            "index's expected size (16)."
        ),
    ),
    (
        "FT.SEARCH idx '*=>[KNN 2 @v $q]' NOCONTENT",
        "Error parsing vector similarity parameters: Parameter q not found.",
    ),
    (
        "FT.SEARCH idx '*=>[KNN 2 @v $q]' PARAMS 1 q NOCONTENT",
        "Error parsing value for the parameter `PARAMS` - Parameter count must be an even number.",
    ),
    (
        "FT.SEARCH idx '*=>[KNN 2 @v $q]' PARAMS 4 q <vector> unused 1 NOCONTENT",
        "Parameter `unused` not used.",
    ),
    (
        "FT.SEARCH idx '@v:[VECTOR_RANGE 0.5 $q]' PARAMS 2 q <vector> NOCONTENT",
        (
            "Invalid filter expression: `@v:[VECTOR_RANGE 0.5 $q]`. `v` is not indexed as a numeric field"
        ),
    ),
    (
        "FT.SEARCH idx @t:{red} NOCONTENT LIMIT -1 10",
        "Error parsing value for the parameter `LIMIT` - `-1` is outside acceptable bounds",
    ),
    (
        "FT.SEARCH idx @t:{red} NOCONTENT LIMIT 0",
        "Error parsing value for the parameter `LIMIT` - Missing argument",
    ),
    (
        "FT.SEARCH idx @t:{red} NOCONTENT DIALECT 1",
        "DIALECT requires a non negative integer >=2 and <= 4",
    ),
    (
        "FT.SEARCH idx @t:{red} NOCONTENT TIMEOUT 100000",
        "TIMEOUT must be a positive integer greater than 0 and cannot exceed 60000.",
    ),
    ("FT.SEARCH idx @t:{red} NOCONTENT WITHPAYLOADS", "Unexpected argument `WITHPAYLOADS`"),
    ("FT.SEARCH idx @t:{red} NOCONTENT BOGUS", "Unexpected argument `BOGUS`"),
    ("FT.SEARCH idx @t:{red} RETURN 1 n SORTBY 2 n ASC", "Unexpected argument `n`"),
    ("FT.SEARCH idx @t:{red} RETURN 1 n SORTBY @n", "Index field `@n` does not exist"),
    ("FT.SEARCH idx @t:{red} RETURN 1 n SORTBY extra", "Index field `extra` does not exist"),
    ("FT.AGGREGATE nope *", "Index with name 'nope' not found in database 0"),
    ("FT.AGGREGATE idx *", "Invalid query string syntax"),
    ("FT.AGGREGATE idx '@n:[-inf inf]' WITHCURSOR COUNT 1", "Unexpected argument `WITHCURSOR`"),
    ("FT.AGGREGATE idx '@n:[-inf inf]' LOAD 1 @nope", "Index field `nope` does not exist"),
]


@pytest.mark.parametrize(("command", "text"), ERRORS, ids=[command for command, _ in ERRORS])
def test_refuses_in_the_words_of_the_server(server: StandInServer, command: str, text: str) -> None:
    with pytest.raises(ServerReplyError) as caught:
        run(server, command)
    assert str(caught.value) == text


REPLIES: list[tuple[str, Any]] = [
    (
        f"FT.SEARCH idx '*=>[KNN 2 @v $q AS score]' {KNN} RETURN 2 t score",
        [
            2,
            b"d:1",
            [b"t", b"red,blue", b"score", b"0"],
            b"d:2",
            [b"t", b"red", b"score", b"0.0061"],
        ],
    ),
    (f"FT.SEARCH idx '*=>[KNN 2 @v $q AS score]' {KNN} NOCONTENT", [2, b"d:1", b"d:2"]),
    (f"FT.SEARCH idx '*=>[KNN 2 @v $q AS score]' {KNN} RETURN 0", [2, b"d:1", b"d:2"]),
    (
        f"FT.SEARCH idx '*=>[KNN 2 @v $q AS score]' {KNN} RETURN 1 extra",
        [2, b"d:1", [b"extra", b"not indexed"], b"d:2", []],
    ),
    ("FT.SEARCH idx @t:{red} NOCONTENT LIMIT 0 0", [2]),
    ("FT.SEARCH idx '@n:[1 1] @n:[2 2]' NOCONTENT", [0]),
    ("FT.SEARCH idx '@n:[100 100]' NOCONTENT ALLSHARDS CONSISTENT TIMEOUT 100", [1, b"d:5"]),
    ("FT.SEARCH idx '@n:[100 100]' NOCONTENT SOMESHARDS INCONSISTENT", [1, b"d:5"]),
    ("FT.SEARCH idx '@n:[100 100]' NOCONTENT LOCALONLY TIMEOUT 0", [1, b"d:5"]),
    (
        "FT.SEARCH idx '@n:[-inf inf]' RETURN 1 n SORTBY n DESC LIMIT 1 2",
        [5, b"d:3", [b"n", b"3.5"], b"d:2", [b"n", b"2"]],
    ),
    (
        "FT.SEARCH idx '@n:[1 2]' RETURN 1 n SORTBY n DESC WITHSORTKEYS",
        [2, b"d:2", b"#2", [b"n", b"2"], b"d:1", b"#1", [b"n", b"1"]],
    ),
    ("FT.AGGREGATE idx '@t:{red}' LOAD 1 @n SORTBY 2 @n ASC", [2, [b"n", b"1"], [b"n", b"2"]]),
    (
        "FT.AGGREGATE idx '@t:{red}' LOAD 1 @t GROUPBY 1 @t REDUCE COUNT 0 AS c SORTBY 2 @t ASC",
        [2, [b"t", b"red", b"c", b"1"], [b"t", b"red,blue", b"c", b"1"]],
    ),
    ("FT.AGGREGATE idx '@n:[-inf inf]' LOAD 1 @n SORTBY 2 @n DESC MAX 1", [1, [b"n", b"100"]]),
    ("FT._LIST", [b"idx"]),
]


@pytest.mark.parametrize(("command", "reply"), REPLIES, ids=[command for command, _ in REPLIES])
def test_answers_as_the_server_does(server: StandInServer, command: str, reply: Any) -> None:
    assert _rounded(run(server, command)) == reply


def _rounded(reply: Any) -> Any:
    if isinstance(reply, list):
        return [_rounded(one) for one in reply]
    return reply[:6] if isinstance(reply, bytes) and reply.startswith(b"0.") else reply


def test_the_default_limit_is_ten_and_the_total_is_not_cut(server: StandInServer) -> None:
    reply = run(server, f"FT.SEARCH idx '*=>[KNN 50 @v $q]' {KNN} NOCONTENT LIMIT 3 20")
    assert reply == [4, b"d:4"]


def test_a_vector_without_direction_is_at_distance_one(server: StandInServer) -> None:
    reply = run(server, "FT.SEARCH idx '*=>[KNN 4 @v $q AS s]' PARAMS 2 q <zero> RETURN 1 s")
    assert {distance for _, distance in reply[2::2]} == {b"1"}


def test_describes_an_index_as_the_server_does(server: StandInServer) -> None:
    info = _paired(run(server, "FT.INFO idx"))
    assert list(info)[:3] == [b"index_name", b"index_definition", b"attributes"]
    assert info[b"index_definition"][3] == [b"d:"]
    assert (info[b"num_docs"], info[b"backfill_in_progress"], info[b"state"]) == (5, b"0", b"ready")
    assert b"percent_indexed" not in info
    attributes = {one[3]: _paired(one) for one in info[b"attributes"]}
    vector = _paired(attributes[b"v"][b"index"])
    assert (vector[b"dimensions"], vector[b"distance_metric"]) == (4, b"COSINE")
    assert vector[b"algorithm"][:2] == [b"name", b"HNSW"]
    assert [attributes[name][b"type"] for name in (b"t", b"n", b"x")] == [
        b"TAG",
        b"NUMERIC",
        b"TEXT",
    ]


def _paired(reply: Any) -> dict[bytes, Any]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def test_presents_itself_as_valkey_search(server: StandInServer) -> None:
    with Connection.open(server.url) as connection:
        capabilities = connection.capabilities
        found = connection.execute("COMMAND", "INFO", "FT.ALTER", "FT.SEARCH", "FT.INTERNAL_UPDATE")
    assert capabilities.module is SearchModule.VALKEY_SEARCH
    assert capabilities.module_version == (1, 2, 1)
    assert [one is None for one in found] == [True, False, False]
    modules = {_paired(one)[b"name"]: _paired(one)[b"ver"] for one in run(server, "MODULE LIST")}
    assert modules[b"search"] == 66049
    assert b"module:name=search,ver=66049," in run(server, "INFO modules")
    with pytest.raises(ServerReplyError, match="NOPROTO"):
        run(server, "HELLO 3")


def test_scripts_and_transactions_may_not_write_to_indexed_keys(server: StandInServer) -> None:
    for command in ("EVAL 'return 1' 1 d:1", "FCALL f 1 d:1"):
        with pytest.raises(ServerReplyError, match="indexed key"):
            run(server, command)
    assert run(server, "EVAL 'return 1' 1 other") == 1


@pytest.fixture
def many() -> Iterator[StandInServer]:
    """Forty documents under an index of a server of its own."""
    with start_server(search=True, speaks="valkey-search-1.2.1") as server:
        assert isinstance(server, StandInServer)
        run(server, CREATE)
        for number in range(40):
            run(server, f"HSET d:{number} v <vector> t tag n {number}")
        yield server


def test_a_query_without_a_vector_stops_at_the_result_cap(many: StandInServer) -> None:
    assert run(many, f"CONFIG GET {RESULT_CAP}") == [RESULT_CAP.encode(), b"100000"]
    assert run(many, "CONFIG GET search.*partial* maxmemory-policy") == [
        *(b"maxmemory-policy", b"noeviction"),
        *(b"search.enable-partial-results", b"yes"),
    ]
    assert run(many, f"CONFIG SET {RESULT_CAP} 15") == b"OK"
    assert run(many, "FT.SEARCH idx @t:{tag} NOCONTENT LIMIT 0 0") == [15]
    total, *keys = run(many, "FT.SEARCH idx @t:{tag} NOCONTENT LIMIT 10 100")
    assert (total, len(keys)) == (15, 5)
    total, *rows = run(many, "FT.SEARCH idx @t:{tag} RETURN 1 n SORTBY n DESC LIMIT 0 100")
    numbers = [float(fields[1]) for fields in rows[1::2]]
    assert (total, len(numbers)) == (15, 15)
    assert numbers == sorted(numbers, reverse=True)
    reply = run(many, "FT.AGGREGATE idx @t:{tag} LOAD 1 @t GROUPBY 1 @t REDUCE COUNT 0 AS c")
    assert reply == [1, [b"t", b"tag", b"c", b"15"]]
    reply = run(many, "FT.AGGREGATE idx @t:{tag} LOAD 1 @n SORTBY 2 @n DESC LIMIT 0 30")
    assert reply[0] == len(reply[1:]) == 15
    total, *keys = run(many, f"FT.SEARCH idx '*=>[KNN 30 @v $q]' {KNN} NOCONTENT LIMIT 0 30")
    assert (total, len(keys)) == (30, 30)
    total, *keys = run(many, "FT.SEARCH idx '@n:[0 9]' NOCONTENT LIMIT 0 100")
    assert (total, len(keys)) == (10, 10)
    with pytest.raises(ServerReplyError, match="Unknown option"):
        run(many, "CONFIG SET search.nothing 1")


def test_a_search_states_if_it_needs_all_shards(many: StandInServer) -> None:
    search = "FT.SEARCH idx @t:{tag} NOCONTENT LIMIT 0 100"
    assert run(many, search)[0] == 40
    many.stand_in.state.shard_lost = True
    assert 10 < run(many, search)[0] < 40
    assert run(many, search)[0] == len(run(many, search)[1:])
    near = f"FT.SEARCH idx '*=>[KNN 40 @v $q]' {KNN} NOCONTENT LIMIT 0 40"
    assert 10 < len(run(many, near)[1:]) < 40
    assert run(many, f"{search} SOMESHARDS") == run(many, search)
    for words in ("ALLSHARDS", "ALLSHARDS CONSISTENT TIMEOUT 100"):
        with pytest.raises(ServerReplyError, match="OOM"):
            run(many, f"{search} {words}")
    aggregate = "FT.AGGREGATE idx @t:{tag} LOAD 1 @n LIMIT 0 100"
    assert run(many, aggregate)[0] < 40
    run(many, "CONFIG SET search.enable-partial-results no")
    for command in (search, aggregate):
        with pytest.raises(ServerReplyError, match="OOM"):
            run(many, command)


def test_a_cluster_is_reached_through_the_stand_in() -> None:
    with (
        start_server(search=True, cluster=True, speaks="valkey-search-1.2.1") as server,
        Connection.open(server.url) as connection,
    ):
        assert connection.capabilities.cluster
        assert connection.capabilities.module is SearchModule.VALKEY_SEARCH
        assert connection.execute("FT.CREATE", "idx", "SCHEMA", "t", "TAG") == "OK"
        connection.execute("HSET", "a", "t", "x")
        assert connection.execute("FT.INFO", "idx", "CLUSTER")
        assert _paired(server.command("FT.INFO", "idx", "CLUSTER"))[b"mode"] == b"cluster"
        search = ["FT.SEARCH", "idx", "@t:{x}", "LIMIT", "0", "0"]
        whole = [*search, "ALLSHARDS", "CONSISTENT", "TIMEOUT", "1000"]
        assert connection.execute(*whole) == [1]


def test_listing_indexes_is_an_administrators_command(server: StandInServer) -> None:
    run(server, "ACL SETUSER app reset on >pw ~* &* +@all -@admin -@dangerous")
    url = server.url.replace("valkey://", "valkey://app:pw@")
    with Connection.open(url) as connection:
        assert connection.execute("FT.SEARCH", "idx", "@t:{red}", "LIMIT", "0", "0") == [2]
        with pytest.raises(AuthenticationError, match=r"FT\._LIST"):
            connection.execute("FT._LIST")
        with pytest.raises(AuthenticationError):
            connection.execute("CONFIG", "GET", RESULT_CAP)
    run(server, "ACL SETUSER app reset on >pw ~* +@search +hello")
    with Connection.open(url) as connection:
        assert connection.execute("FT._LIST") == [b"idx"]


def test_indexes_go_with_their_database() -> None:
    with start_server(search=True, speaks="valkey-search-1.2.1") as server:
        run(server, CREATE)
        assert run(server, "FLUSHALL") == b"OK"
        assert run(server, "FT._LIST") == []
        assert run(server, CREATE) == b"OK"
