"""What LangGraph's configs say about threads, namespaces and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from valkey_vector import InvalidInputError

__all__ = ["Target", "made_config", "target_of", "thread_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a config names.

    Attributes:
        thread: its thread, as text.
        namespace: its namespace; the root one if it names none.
        id: its checkpoint; None if it names none.
        given_thread: the thread as the config has it.
        given_namespace: the namespace; None if it names none.
    """

    thread: str
    namespace: str
    id: str | None
    given_thread: Any
    given_namespace: str | None


def target_of(config: RunnableConfig, *, thread_needed: bool = True) -> Target:
    """What a config names.

    Args:
        config: of a graph.
        thread_needed: whether it must name a thread.

    Raises:
        InvalidInputError: it names no thread, or one that is not text or a whole number.
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
    """A thread's id as text. A whole number or a UUID is the thread of its text, as on other servers.

    Raises:
        InvalidInputError: it is something else.
    """
    if isinstance(given, bool) or not isinstance(given, (str, int, UUID)):
        raise InvalidInputError(f"a thread_id must be text, not {given!r}")
    return str(given)


def made_config(thread: Any, namespace: str, id: str) -> RunnableConfig:
    """The config of a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id}}
