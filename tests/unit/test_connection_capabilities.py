"""Capabilities of a server are read from the probes that it answers."""

from __future__ import annotations

from typing import Any

import pytest

from valkey_vector.connection.capabilities import (
    Capabilities,
    Feature,
    SearchModule,
    capabilities_from,
)
from valkey_vector.errors import AuthenticationError, UnsupportedFeatureError

NO = AuthenticationError("NOPERM no")
KNOWN = [b"FT.X", -1]
SERVER = b"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nserver_mode:standalone\r\n"
OLD_REDIS = b"# Server\r\nredis_version:7.4.1\r\nredis_mode:cluster\r\n"


def hello(number: int | None, mode: bytes = b"standalone") -> dict[bytes, Any]:
    modules = [[b"name", b"lua", b"ver", 1]]
    if number is not None:
        modules.append([b"name", b"search", b"ver", number])
    return {b"server": b"valkey", b"version": b"9.1.2", b"mode": mode, b"modules": modules}


def commands(*, alter: bool = False, aggregate: bool = True, update: bool = False, hybrid: bool = False,
             search: bool = True) -> list[Any]:  # fmt: skip
    present = [search, aggregate, update, hybrid, alter, alter]
    return [KNOWN if found else None for found in present]


def module_of(replies: list[Any]) -> tuple[SearchModule, tuple[int, int, int]]:
    found = capabilities_from(replies)
    return found.module, found.module_version


@pytest.mark.parametrize(
    ("number", "redisearch_commands", "module", "version"),
    [
        (65536, False, SearchModule.VALKEY_SEARCH, (1, 0, 0)),
        (65538, False, SearchModule.VALKEY_SEARCH, (1, 0, 2)),
        (65792, False, SearchModule.VALKEY_SEARCH, (1, 1, 0)),
        (66049, False, SearchModule.VALKEY_SEARCH, (1, 2, 1)),
        (66049, True, SearchModule.VALKEY_SEARCH, (1, 2, 1)),
        (131072, False, SearchModule.VALKEY_SEARCH, (2, 0, 0)),
        (20811, True, SearchModule.REDISEARCH, (2, 8, 11)),
        (21005, True, SearchModule.REDISEARCH, (2, 10, 5)),
        (80000, True, SearchModule.REDISEARCH, (8, 0, 0)),
        (80200, False, SearchModule.REDISEARCH, (8, 2, 0)),
        (999999, True, SearchModule.REDISEARCH, (99, 99, 99)),
    ],
)
def test_version_numbers_tell_the_two_modules_apart(
    number: int, redisearch_commands: bool, module: SearchModule, version: tuple[int, int, int]
) -> None:
    known = commands(alter=redisearch_commands)
    listed = [[b"name", b"search", b"ver", number]]
    info = b"# Modules\r\nmodule:name=search,ver=%d,api=1\r\n" % number
    assert module_of([hello(number), NO, NO, NO, known]) == (module, version)
    assert module_of([NO, NO, NO, listed, known]) == (module, version)
    assert module_of([NO, NO, info, NO, known]) == (module, version)
    assert module_of([NO, NO, {b"h:1": info}, NO, known]) == (module, version)


@pytest.mark.parametrize(
    ("known", "module", "version"),
    [
        (commands(search=False, aggregate=False), SearchModule.NONE, (0, 0, 0)),
        (commands(aggregate=False), SearchModule.VALKEY_SEARCH, (1, 0, 0)),
        (commands(), SearchModule.VALKEY_SEARCH, (1, 1, 0)),
        (commands(update=True), SearchModule.VALKEY_SEARCH, (1, 2, 0)),
        (commands(update=True, hybrid=True), SearchModule.VALKEY_SEARCH, (1, 3, 0)),
        (commands(alter=True), SearchModule.REDISEARCH, (2, 4, 0)),
    ],
)
def test_without_a_version_number_the_commands_tell_the_oldest_version_possible(
    known: list[Any], module: SearchModule, version: tuple[int, int, int]
) -> None:
    assert module_of([NO, NO, NO, NO, known]) == (module, version)


def test_another_module_is_no_search_module() -> None:
    listed = [[b"name", b"json", b"ver", 10002], [b"name", b"searchlight", b"ver", 1]]
    assert module_of([NO, SERVER, NO, listed, NO]) == (SearchModule.NONE, (0, 0, 0))


def test_hello_as_a_flat_list_is_understood() -> None:
    flat = [item for pair in hello(66049).items() for item in pair]
    assert module_of([flat, NO, NO, NO, NO])[1] == (1, 2, 1)


def test_server_and_mode_are_read_from_hello_or_from_info() -> None:
    only_hello = capabilities_from([hello(None, b"cluster"), NO, NO, NO, NO])
    assert (only_hello.server, only_hello.server_version) == ("valkey", (9, 1, 2))
    assert only_hello.cluster
    only_info = capabilities_from([NO, SERVER, NO, [], NO])
    assert (only_info.server, only_info.server_version) == ("valkey", (9, 1, 2))
    assert not only_info.cluster
    redis = capabilities_from([NO, {b"h:1": OLD_REDIS, b"h:2": OLD_REDIS}, NO, [], NO])
    assert (redis.server, redis.server_version, redis.cluster) == ("redis", (7, 4, 1), True)


def test_missing_rights_are_an_error_and_not_a_missing_module() -> None:
    with pytest.raises(AuthenticationError, match="cannot be detected"):
        capabilities_from([NO, NO, NO, NO, NO])


def of(module: SearchModule, *version: int) -> Capabilities:
    major, minor, patch = version
    return Capabilities("valkey", (9, 1, 2), False, module, (major, minor, patch))


VS, RS = SearchModule.VALKEY_SEARCH, SearchModule.REDISEARCH


@pytest.mark.parametrize(
    ("found", "features"),
    [
        (of(SearchModule.NONE, 0, 0, 0), set()),
        (of(VS, 1, 0, 2), {"has_search"}),
        (of(VS, 1, 1, 0), {"has_search", "filter_queries"}),
        (of(VS, 1, 2, 1), {"has_search", "filter_queries", "text", "sort_by"}),
        (of(VS, 1, 3, 0), {"has_search", "filter_queries", "text", "sort_by",
                           "scores", "vector_range", "hybrid"}),
        (of(RS, 2, 10, 5), {"has_search", "filter_queries", "text", "sort_by",
                            "scores", "vector_range"}),
        (of(RS, 8, 4, 0), {"has_search", "filter_queries", "text", "sort_by",
                           "scores", "vector_range", "hybrid"}),
    ],
)  # fmt: skip
def test_features_follow_from_module_and_version(found: Capabilities, features: set[str]) -> None:
    names = {
        "has_search", "filter_queries", "text", "sort_by",
        "scores", "vector_range", "hybrid",
    }  # fmt: skip
    assert {name for name in names if getattr(found, name)} == features


def test_limits_follow_from_module_and_version() -> None:
    assert [of(VS, 1, 1, 0).max_query_terms, of(VS, 1, 2, 0).max_query_terms] == [16, 1000]
    assert [of(VS, 1, 2, 0).max_knn, of(RS, 2, 10, 5).max_knn] == [10_000, 10_000]
    assert of(VS, 1, 2, 0).max_query_bytes == 10_240


def test_a_missing_feature_is_named_with_what_is_there_and_what_is_needed() -> None:
    of(VS, 1, 2, 1).require(Feature.TEXT)
    with pytest.raises(UnsupportedFeatureError) as caught:
        of(VS, 1, 1, 0).require(Feature.TEXT)
    assert str(caught.value) == (
        "full-text search is not available on Valkey-Search 1.1.0 on Valkey 9.1.2; "
        "it needs Valkey-Search 1.2 or newer, or RediSearch"
    )


@pytest.mark.parametrize("feature", Feature)
def test_every_feature_can_be_required(feature: Feature) -> None:
    of(VS, 1, 3, 0).require(feature)
    with pytest.raises(UnsupportedFeatureError, match="without a search module"):
        of(SearchModule.NONE, 0, 0, 0).require(feature)
