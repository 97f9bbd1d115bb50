"""Many writers on one thread of checkpoints, with a check that nothing was lost or mixed."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from langgraph_savers import thread
from langgraph_valkey import ValkeySaver

THREAD = "crowded"


def crowd(saver: ValkeySaver, name: str, *, threads: int, puts: int) -> None:
    """Puts checkpoints from several threads at once; each is a branch of its own with the same integer versions."""
    with ThreadPoolExecutor(threads) as pool:
        for ended in [pool.submit(_branch, saver, f"{name}-{n}", puts) for n in range(threads)]:
            ended.result()


def _branch(saver: ValkeySaver, writer: str, puts: int) -> None:
    config: Any = thread(THREAD, checkpoint_ns="")
    for n in range(1, puts + 1):
        made = empty_checkpoint()
        made["id"] = str(uuid6())
        made["channel_values"] = {"by": writer, "n": n, "log": [f"{writer} {i}" for i in range(n)]}
        made["channel_versions"] = {"by": 1, "n": n, "log": n}
        new: Any = {"n": n, "log": n} if n > 1 else {"by": 1, "n": n, "log": n}
        metadata: Any = {"step": n, "writer": writer}
        config = saver.put(config, made, metadata, new)
        saver.put_writes(config, [("by", writer), ("n", n)], writer)


def complaints(saver: ValkeySaver, writers: int, puts: int) -> list[str]:
    """Return the faults of the thread."""
    wrong, seen = [], Counter[str]()
    for one in saver.list(thread(THREAD)):
        values, metadata = one.checkpoint["channel_values"], dict(one.metadata)
        writer, n = str(metadata["writer"]), int(str(metadata["step"]))
        seen[writer] += 1
        log = [f"{writer} {i}" for i in range(n)]
        if values != {"by": writer, "n": n, "log": log}:
            wrong.append(f"{writer} {n}: {values}")
        if one.pending_writes != [(writer, "by", writer), (writer, "n", n)]:
            wrong.append(f"{writer} {n}: {one.pending_writes}")
        if (one.parent_config is None) != (n == 1):
            wrong.append(f"{writer} {n}: {one.parent_config}")
    if len(seen) != writers or set(seen.values()) != {puts}:
        wrong.append(f"lost: {seen}")
    return wrong
