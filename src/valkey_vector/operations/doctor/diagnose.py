"""`diagnose`: runs the checks in the order in which an application meets the problems, and stops where nothing can follow."""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Connection, ConnectionSettings, SearchModule
from valkey_vector.connection.client import DEFAULT_URL, URL_VARIABLE
from valkey_vector.connection.glide_version import check_glide
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
    ValkeyVectorError,
)
from valkey_vector.operations.doctor.cluster_check import check_nodes
from valkey_vector.operations.doctor.documents import check_foreign_index
from valkey_vector.operations.doctor.facts import ServerFacts, read_facts
from valkey_vector.operations.doctor.findings import (
    DoctorReport,
    Finding,
    RecallMeasure,
    by_severity,
    error,
    note,
)
from valkey_vector.operations.doctor.index_check import IndexOptions, check_own_index
from valkey_vector.operations.doctor.permissions import (
    judge_permissions,
    lacking_permissions,
    user_of,
)
from valkey_vector.operations.doctor.reaching import reach
from valkey_vector.operations.doctor.server_rules import judge_server
from valkey_vector.operations.opening import is_own_name
from valkey_vector.operations.privileges import ROLES, AclLine, Role, acl_line
from valkey_vector.storage.catalog import (
    CATALOG_PATTERN,
    Catalog,
    CatalogEntry,
    EngineName,
    name_of_catalog,
)

__all__ = ["adiagnose", "diagnose"]


def diagnose(
    url: str | ConnectionSettings | None = None,
    *,
    names: Sequence[str] = (),
    role: Role = "application",
    deep: bool | None = None,
    recall: bool = True,
    cores: int | None = None,
    **options: Any,
) -> DoctorReport:
    """Connect as an application would, and report what is wrong with the server, the user and the indexes.

    Changes nothing on the server.

    Args:
        url: the server (see `Connection.open`), or settings, such as `Connection.settings`. Default: ``VALKEY_URL``, or
            the embedded server.
        names: indexes to check. Default: all indexes of the database, found by a scan of all keys.
        role: what the user does; its permissions are checked.
        deep: verify every document. None verifies indexes of up to 10,000 documents.
        recall: measure the recall of HNSW indexes of up to 20,000 documents.
        cores: processors of the server's machine. Default: those of this machine if the server runs on it.
        options: attributes of `ConnectionSettings`; they override the URL or the settings.

    Raises:
        ConfigurationError: the URL or an option is invalid.

    Cost: a few round trips, and what verifying and measuring each index costs.
    """
    if isinstance(url, ConnectionSettings):
        settings = replace(url, **options)
    else:
        chosen = url if url is not None else os.environ.get(URL_VARIABLE) or DEFAULT_URL
        settings = ConnectionSettings.from_url(chosen, **options)
    if role not in ROLES:
        raise ConfigurationError(f"role {role!r} is not one of {', '.join(ROLES)}")
    return _Doctor(settings, names, role, IndexOptions(deep=deep, recall=recall), cores).run()


async def adiagnose(url: str | ConnectionSettings | None = None, **options: Any) -> DoctorReport:
    """Async version of `diagnose`."""
    return await offload(diagnose, url, **options)


class _Doctor:
    """One examination. Collects findings."""

    def __init__(
        self,
        settings: ConnectionSettings,
        names: Sequence[str],
        role: Role,
        options: IndexOptions,
        cores: int | None,
    ) -> None:
        self._settings = settings
        self._names = list(dict.fromkeys(names))
        self._role = role
        self._options = options
        self._cores = cores if cores is not None else _local_cores(settings)
        self._findings: list[Finding] = []
        self._checked: list[str] = []
        self._skipped: list[str] = []
        self._recall: list[RecallMeasure] = []
        self._acl: list[AclLine] = []
        self._server = self._user = ""

    def run(self) -> DoctorReport:
        """Run the checks."""
        if self._check_client() and self._check_way():
            try:
                with Connection(self._settings) as connection:
                    self._check_server(connection)
            except ValkeyVectorError as failed:
                what = f"the examination ended: {failed}"
                cure = "read the message and the server's log; run the doctor again when the server is stable"
                self._findings.append(
                    error("connection.failed", self._settings.location, what, cure)
                )
        return DoctorReport(
            location=self._settings.location,
            server=self._server,
            user=self._user,
            findings=by_severity(self._findings),
            checked=tuple(self._checked),
            skipped=tuple(dict.fromkeys(self._skipped)),
            recall=tuple(self._recall),
            acl=tuple(self._acl),
        )

    def _check_client(self) -> bool:
        self._checked.append("client")
        try:
            check_glide()
        except ConfigurationError as failed:
            cure = "install the version that the message names"
            self._findings.append(error("client.version", "valkey-glide-sync", str(failed), cure))
            return False
        return True

    def _check_way(self) -> bool:
        self._checked.append("connection")
        reached = reach(self._settings)
        self._findings += reached.findings
        if not reached.admitted:
            return False
        if reached.mode == "cluster" and self._settings.unix_socket is None:
            self._checked.append("cluster nodes")
            self._findings += check_nodes(self._settings)
        return True

    def _check_server(self, connection: Connection) -> None:
        self._user = user_of(connection)
        facts = read_facts(connection, self._cores)
        self._server = facts.capabilities.description
        self._checked.append("server")
        self._skipped += facts.skipped
        self._findings += judge_server(facts)
        names = self._names or self._all_names(connection)
        entries = {name: self._entry(connection, name) for name in names}
        self._check_permissions(connection, entries)
        for name in entries:
            self._checked.append(f"index {name}")
            self._check_index(connection, name, facts)

    def _all_names(self, connection: Connection) -> list[str]:
        """Names of all indexes: of own ones that exist or left something behind, and of other programs' ones."""
        try:
            keys = [key for page in connection.scan(CATALOG_PATTERN) for key in page]
        except AuthenticationError as refused:
            self._skipped.append(f"the list of indexes: {refused}")
            return []
        own = {name_of_catalog(key.decode(errors="replace")) for key in keys}
        names = sorted(name for name in own if name is not None and is_own_name(name))
        if not connection.capabilities.has_search:
            return names
        try:
            listed = sorted(
                each.decode(errors="replace") for each in connection.execute("FT._LIST", retry=True)
            )
        except AuthenticationError as refused:
            self._skipped.append(f"indexes of other programs: {refused}")
            return names
        # A search index of an own index whose record is gone is called name-generation, too.
        owners = {each: each.rpartition("-")[0] for each in listed if _has_generation(each)}
        names += [owner for owner in dict.fromkeys(owners.values()) if owner not in names]
        return names + [each for each in listed if each not in owners]

    def _entry(self, connection: Connection, name: str) -> CatalogEntry | None:
        """The record of an index, if there is one that can be read."""
        if not is_own_name(name):
            return None
        try:
            return Catalog(connection, name).read()
        except (ConnectionLostError, RequestTimeoutError):
            raise
        except (ServerError, ConfigurationError):
            return None  # checking the index reports it

    def _check_permissions(
        self, connection: Connection, entries: dict[str, CatalogEntry | None]
    ) -> None:
        own = [name for name in entries if is_own_name(name)]
        if not own:
            return
        self._checked.append("permissions")
        default: EngineName = "search" if connection.capabilities.has_search else "native"
        engines: dict[str, EngineName] = {}
        for name in own:
            entry = entries[name]
            engines[name] = default if entry is None else entry.engine
            server_name = None if entry is None else entry.search_index
            lacking = lacking_permissions(connection, name, engines[name], self._role, server_name)
            self._findings += judge_permissions(self._user, name, self._role, lacking)
        engine: EngineName = "search" if "search" in engines.values() else "native"
        capabilities = connection.capabilities
        self._acl += [
            acl_line(
                role,
                own,
                engine,
                cluster=capabilities.cluster,
                redisearch=capabilities.module is SearchModule.REDISEARCH,
                database=self._settings.database,
                client_name=self._settings.client_name is not None,
            )
            for role in ROLES
        ]

    def _check_index(
        self,
        connection: Connection,
        name: str,
        facts: ServerFacts,
    ) -> None:
        try:
            if is_own_name(name):
                checked = check_own_index(connection, name, self._options)
                if checked is not None:
                    self._findings += checked.findings
                    self._skipped += checked.skipped
                    self._recall += checked.recall
                    return
            if connection.capabilities.has_search:
                foreign = check_foreign_index(connection, name)
                if foreign is not None:
                    self._findings += foreign
                    return
        except AuthenticationError as refused:
            self._skipped.append(f"index {name}: {refused}")
            return
        except (ConnectionLostError, RequestTimeoutError):
            raise
        except ValkeyVectorError as failed:
            what = f"the index could not be examined: {failed}"
            cure = "read the message and the server's log; `valkey-vector verify` may say more"
            self._findings.append(error("index.not_examined", name, what, cure))
            return
        if name in self._names:  # one that was only listed has been dropped meanwhile
            self._findings += self._unknown(connection, name, facts)

    def _unknown(self, connection: Connection, name: str, facts: ServerFacts) -> list[Finding]:
        """Findings for a name of which the server has nothing."""
        known = self._all_names(connection)
        close = difflib.get_close_matches(name, known, n=3)
        what = f"there is no index {name!r} in database {facts.database} of {facts.location}: reading it returns nothing"
        cure = (
            f"check the name: there is {', '.join(map(repr, close))}"
            if close
            else "check the name, the server and the database; the first write creates the index"
        )
        findings = [error("index.unknown", name, what, cure)]
        others = sorted(
            {
                field
                for node in facts.nodes
                for field in node.info
                if field.startswith("db")
                and field[2:].isdecimal()
                and field != f"db{facts.database}"
            }
        )
        if others:
            what = f"other databases of the server have keys: {', '.join(others)}"
            cure = "if the index is there, add its number to the URL: valkey://host:port/1"
            findings.append(note("server.other_database", facts.location, what, cure))
        return findings


def _has_generation(name: str) -> bool:
    """Return True if an index of the search module has a name that this library gives."""
    owner, _, mark = name.rpartition("-")
    hexadecimal = len(mark) == 8 and all(c in "0123456789abcdef" for c in mark)
    return hexadecimal and bool(owner) and is_own_name(owner)


def _local_cores(settings: ConnectionSettings) -> int | None:
    """Processors of this machine, if the server runs on it."""
    if settings.embedded or settings.unix_socket is not None:
        return os.cpu_count()
    return os.cpu_count() if all(_is_loopback(each.host) for each in settings.addresses) else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
