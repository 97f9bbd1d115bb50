"""`copy_checkpoints`: moves threads from another checkpointer."""

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

    May be repeated: what was copied before is stored once. One put for each checkpoint, and one for each task with writes.

    Args:
        source: such as `InMemorySaver`, or the saver of another package.
        target: such as `ValkeySaver`.
        threads: the ids of the threads; None for all, which not every checkpointer can list.

    Returns:
        How many checkpoints were copied.
    """
    configs: list[RunnableConfig | None] = [None]
    if threads is not None:
        configs = [{"configurable": {"thread_id": thread}} for thread in threads]
    count = 0
    for config in configs:
        for one in source.list(config):
            _copy(one, target)
            count += 1
    return count


def _copy(one: CheckpointTuple, target: BaseCheckpointSaver[Any]) -> None:
    own = one.config["configurable"]
    place: dict[str, Any] = {
        "thread_id": own["thread_id"],
        "checkpoint_ns": own.get("checkpoint_ns", ""),
    }
    if one.parent_config is not None:
        place["checkpoint_id"] = one.parent_config["configurable"]["checkpoint_id"]
    versions = one.checkpoint["channel_versions"]
    stored = target.put({"configurable": place}, one.checkpoint, one.metadata, versions)
    tasks: dict[str, list[tuple[str, Any]]] = {}
    for task, channel, value in one.pending_writes or ():
        tasks.setdefault(task, []).append((channel, value))
    for task, writes in tasks.items():
        target.put_writes(stored, writes, task)
