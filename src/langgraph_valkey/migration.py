"""`copy_checkpoints`: copies threads from another checkpointer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

__all__ = ["copy_checkpoints"]


def copy_checkpoints(
    source: BaseCheckpointSaver[Any],
    target: BaseCheckpointSaver[Any],
    threads: Iterable[str] | None = None,
) -> int:
    """Copy the checkpoints of threads, with their pending writes, from one checkpointer to another.

    You can repeat the call: a checkpoint that is already in the target stays as it is.

    Cost: one put for each checkpoint, and one `put_writes` for each task with pending writes.

    Args:
        source: the checkpointer to read, such as `InMemorySaver` or the saver of another package.
        target: the checkpointer to write, such as `ValkeySaver`.
        threads: ids of the threads. None copies all threads; not every checkpointer can list them.

    Returns:
        The number of copied checkpoints.
    """
    configs: list[RunnableConfig | None] = [None]
    if threads is not None:
        configs = [{"configurable": {"thread_id": thread}} for thread in threads]
    count = 0
    for config in configs:
        for found in source.list(config):
            _copy(found, target)
            count += 1
    return count


def _copy(found: CheckpointTuple, target: BaseCheckpointSaver[Any]) -> None:
    source = found.config["configurable"]
    parent: dict[str, Any] = {
        "thread_id": source["thread_id"],
        "checkpoint_ns": source.get("checkpoint_ns", ""),
    }
    if found.parent_config is not None:
        parent["checkpoint_id"] = found.parent_config["configurable"]["checkpoint_id"]
    versions = found.checkpoint["channel_versions"]
    stored = target.put({"configurable": parent}, found.checkpoint, found.metadata, versions)
    tasks: dict[str, list[tuple[str, Any]]] = {}
    for task, channel, value in found.pending_writes or ():
        tasks.setdefault(task, []).append((channel, value))
    for task, writes in tasks.items():
        target.put_writes(stored, writes, task)
