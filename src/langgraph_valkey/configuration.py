"""Thread, namespace and checkpoint in the configs of LangGraph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from valkey_vector import InvalidInputError

__all__ = ["Target", "checkpoint_config", "target_of", "thread_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """The thread, namespace and checkpoint that a config names.

    Attributes:
        thread: the thread as text.
        namespace: the namespace; the root namespace if the config names none.
        id: the checkpoint; None if the config names none.
        given_thread: the thread as it is in the config.
        given_namespace: the namespace as it is in the config; None if there is none.
    """

    thread: str
    namespace: str
    id: str | None
    given_thread: Any
    given_namespace: str | None


def target_of(config: RunnableConfig, *, thread_needed: bool = True) -> Target:
    """Return the thread, namespace and checkpoint that a config names.

    Args:
        config: the config of a graph.
        thread_needed: True if the config must name a thread.

    Raises:
        InvalidInputError: the config names no thread, or its thread is not text, an integer or a UUID.
    """
    configurable = config.get("configurable") or {}
    if thread_needed and configurable.get("thread_id") is None:
        raise InvalidInputError(
            "config['configurable'] has no 'thread_id'; pass {'configurable': {'thread_id': ...}}"
        )
    given = configurable.get("thread_id")
    namespace = configurable.get("checkpoint_ns")
    return Target(
        thread=thread_of(given) if thread_needed else "",
        namespace=namespace or "",
        id=configurable.get("checkpoint_id") or None,
        given_thread=given,
        given_namespace=namespace,
    )


def thread_of(given: Any) -> str:
    """Return a thread id as text. An integer or a UUID names the same thread as its text, as in other checkpointers.

    Raises:
        InvalidInputError: the id has another type.
    """
    if isinstance(given, bool) or not isinstance(given, (str, int, UUID)):
        raise InvalidInputError(f"a thread_id must be text, not {given!r}")
    return str(given)


def checkpoint_config(thread: Any, namespace: str, id: str) -> RunnableConfig:
    """Return the config that names a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id}}
