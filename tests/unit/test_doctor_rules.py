"""The doctor's rules on recorded replies of servers that the tests cannot start."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.description import Backfill, IndexDescription
from valkey_vector.connection import Capabilities, SearchModule
from valkey_vector.operations.doctor import index_check
from valkey_vector.operations.doctor.cluster_check import parse_nodes
from valkey_vector.operations.doctor.documents import judge_description
from valkey_vector.operations.doctor.facts import NodeFacts, ServerFacts
from valkey_vector.operations.doctor.findings import Finding, Severity, by_severity, note
from valkey_vector.operations.doctor.server_rules import judge_server
from valkey_vector.operations.server_statistics import SearchStatistics, parse_info

SEARCH_INFO = b"""# search_coordinator\r
search_coordinator_bytes_in:120\r
search_coordinator_client_search_index_partition_failure_count:0\r
search_coordinator_server_listening_port:31294\r
# search_hnswlib\r
search_hnsw_add_exceptions_count:0\r
# search_index_stats\r
search_number_of_indexes:2\r
search_total_indexed_documents:50000\r
# search_memory\r
search_used_memory_bytes:55368\r
search_used_memory_human:54.12KiB\r
# search_thread-pool\r
search_used_read_cpu:1.5\r
search_writer_queue_size:0\r
"""
"""Part of what Valkey-Search 1.2.1 reports."""

GOOD_INFO = {
    "role": "master",
    "maxmemory": "1000000",
    "maxmemory_policy": "noeviction",
    "used_memory": "1000",
    "aof_enabled": "1",
    **parse_info(SEARCH_INFO),
}
GOOD_SETTINGS = {"save": "", "search.reader-threads": "4", "search.writer-threads": "4"}


def facts(
    *,
    info: dict[str, str] | None = None,
    settings: dict[str, str] | None = None,
    cluster: dict[str, str] | None = None,
    cores: int | None = 4,
    database: int = 0,
    **capabilities: object,
) -> ServerFacts:
    known: dict[str, object] = {
        "server": "valkey",
        "server_version": (9, 1, 2),
        "cluster": cluster is not None,
        "module": SearchModule.VALKEY_SEARCH,
        "module_version": (1, 2, 1),
        "create_only": True,
    }
    node = NodeFacts(
        node="127.0.0.1:6379",
        info={**GOOD_INFO, **(info or {})},
        configuration={**GOOD_SETTINGS, **(settings or {})},
    )
    return ServerFacts(
        location="valkey://127.0.0.1:6379",
        capabilities=Capabilities(**{**known, **capabilities}),  # type: ignore[arg-type]
        database=database,
        nodes=(node,),
        cluster=cluster or {},
        cores=cores,
    )


UP = {"cluster_state": "ok", "cluster_slots_ok": "16384"}


@pytest.mark.parametrize("cluster", [None, UP])
def test_a_server_in_order_has_no_findings(cluster: dict[str, str] | None) -> None:
    assert judge_server(facts(cluster=cluster)) == ()


BROKEN: dict[str, tuple[ServerFacts, str, Severity]] = {
    "an old module": (facts(module_version=(1, 1, 0)), "module.old", Severity.WARNING),
    "an old server": (
        facts(server_version=(6, 2, 0), module=SearchModule.NONE, module_version=(0, 0, 0)),
        "server.old",
        Severity.ERROR,
    ),
    "no HSETEX": (facts(create_only=False), "server.no_hsetex", Severity.NOTE),
    "the coordinator is off": (
        facts(cluster=UP, info={"search_coordinator_server_listening_port": ""}),
        "module.coordinator_off",
        Severity.ERROR,
    ),
    "the coordinator does not reach others": (
        facts(
            cluster=UP,
            info={"search_coordinator_client_search_index_partition_failure_count": "7"},
        ),
        "module.coordinator_failures",
        Severity.WARNING,
    ),
    "the cluster is down": (
        facts(cluster={**UP, "cluster_state": "fail"}),
        "cluster.down",
        Severity.ERROR,
    ),
    "slots are missing": (
        facts(cluster={**UP, "cluster_slots_ok": "16000"}),
        "cluster.slots",
        Severity.ERROR,
    ),
    "more threads than processors": (facts(cores=2), "module.threads", Severity.WARNING),
    "fewer threads than processors": (facts(cores=16), "module.threads", Severity.NOTE),
    "a graph failed": (
        facts(info={"search_hnsw_add_exceptions_count": "3"}),
        "module.graph_failures",
        Severity.ERROR,
    ),
    "an index could not be loaded": (
        facts(info={"search_rdb_load_failure_cnt": "1"}),
        "module.load_failures",
        Severity.ERROR,
    ),
    "writes queue up": (
        facts(info={"search_writer_queue_size": "90000"}),
        "module.write_queue",
        Severity.WARNING,
    ),
    "the server loads": (facts(info={"loading": "1"}), "server.loading", Severity.ERROR),
    "connections were refused": (
        facts(info={"rejected_connections": "5"}),
        "server.rejected_connections",
        Severity.WARNING,
    ),
    "memory is nearly full": (
        facts(info={"used_memory": "950000"}),
        "memory.nearly_full",
        Severity.WARNING,
    ),
    "memory has no limit": (facts(info={"maxmemory": "0"}), "memory.unlimited", Severity.NOTE),
    "the snapshot failed": (
        facts(info={"rdb_last_bgsave_status": "err"}),
        "persistence.snapshot_failed",
        Severity.ERROR,
    ),
    "the append-only file failed": (
        facts(info={"aof_last_write_status": "err"}),
        "persistence.append_failed",
        Severity.ERROR,
    ),
    "nothing persists": (facts(info={"aof_enabled": "0"}), "persistence.off", Severity.WARNING),
}


@pytest.mark.parametrize(("recorded", "code", "severity"), BROKEN.values(), ids=BROKEN)
def test_each_fault_has_its_code_its_severity_and_a_cure(
    recorded: ServerFacts, code: str, severity: Severity
) -> None:
    findings = judge_server(recorded)
    assert [(each.code, each.severity) for each in findings if each.code == code][:1] == [
        (code, severity)
    ]
    assert all(each.what and each.cure and each.subject for each in findings)


def test_what_the_user_may_not_read_is_not_judged() -> None:
    unknown = NodeFacts(node="n", info={}, configuration={})
    known = facts()
    silent = ServerFacts(
        location=known.location,
        capabilities=known.capabilities,
        database=0,
        nodes=(unknown,),
        cluster={},
        cores=4,
    )
    assert judge_server(silent) == ()


def test_findings_are_sorted_by_severity_and_each_is_reported_once() -> None:
    first = note("a", "s", "w", "c")
    second = Finding(code="b", severity=Severity.ERROR, subject="s", what="w", cure="c")
    assert by_severity([first, second, first]) == (second, first)


def test_the_nodes_of_a_cluster_are_parsed() -> None:
    text = (
        "id1 :6379@16379 myself,master - 0 0 1 connected 0-100\n"
        "id2 10.0.0.2:6380@16380,node-2.example,shard-id=x slave id1 0 0 2 connected\n"
        "id3 10.0.0.3:6381@16381,,tls-port=0 master,fail - 0 0 3 disconnected\n"
        "id4 :0@0 master,noaddr - 0 0 4 disconnected\n"
    )
    nodes = parse_nodes(text, "known")
    assert [(node.host, node.port, node.primary, node.failed) for node in nodes] == [
        ("known", 6379, True, False),
        ("node-2.example", 6380, False, False),
        ("10.0.0.3", 6381, True, True),
    ]


def test_the_statistics_of_the_module_are_typed_and_summed() -> None:
    node = SearchStatistics.of(parse_info(SEARCH_INFO))
    assert node.total_indexed_documents == 50_000
    assert node.used_read_cpu == 1.5
    assert node.coordinator_server_listening_port == 31_294
    assert node.other == {"used_memory_human": "54.12KiB"}
    total = SearchStatistics.total([node, node])
    assert total.total_indexed_documents == 100_000
    assert total.coordinator_bytes_in == 240
    assert total.coordinator_server_listening_port == 0


def test_every_code_is_documented() -> None:
    root = Path(__file__).parents[2]
    areas = "server|tls|auth|cluster|acl|module|memory|persistence|index|client|connection"
    code = re.compile(rf"[\"`]((?:{areas})\.[a-z_]+)[\"`]")
    folder = root / "src" / "valkey_vector" / "operations" / "doctor"
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    used = set(code.findall(source))
    documented = set(code.findall((root / "docs" / "operations.md").read_text(encoding="utf-8")))
    assert len(used) > 80
    assert used == documented


@pytest.mark.parametrize(
    ("share", "queue", "codes"),
    [
        (0.4, 0, ["index.backfill"]),
        (1.0, 0, []),
        (1.0, 5_000, ["index.queue"]),
    ],
)
def test_an_index_that_is_not_complete_yet_is_noted(
    share: float, queue: int, codes: list[str]
) -> None:
    described = IndexDescription(
        definition=IndexDefinition(name="articles-01234567", prefixes=("articles:",)),
        documents=10,
        records=10,
        failures=0,
        backfill=Backfill(in_progress=True, share=share),
        queue=queue,
        state="backfill_in_progress",
        attributes=(),
    )
    findings = judge_description("articles", described)
    assert [finding.code for finding in findings] == codes
    assert all(finding.severity is Severity.NOTE for finding in findings)


def test_the_cure_of_a_node_without_an_index_names_the_index_to_drop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry: Any = SimpleNamespace(name="articles", search_index="articles-1a2b3c4d")
    described = {"10.0.0.1:6379": object(), "10.0.0.2:6379": None}
    monkeypatch.setattr(index_check, "describe_everywhere", lambda *_: described)
    monkeypatch.setattr(index_check, "judge_description", lambda *_: [])
    monkeypatch.setattr(index_check, "_differences", lambda *_: [note("x", "y", "z", "")])
    result = index_check.IndexCheck([], [])
    assert not index_check._check_search_index(cast("Any", None), entry, result)
    [missing] = [each for each in result.findings if each.code == "index.missing_on_node"]
    assert "10.0.0.2:6379" in missing.what
    assert "`FT.DROPINDEX articles-1a2b3c4d` on another node" in missing.cure
    assert "BGREWRITEAOF" in missing.cure
