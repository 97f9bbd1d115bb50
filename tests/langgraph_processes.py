"""Tasks that the tests of LangGraph run in other processes: ``python langgraph_processes.py TASK URL NAMESPACE …``."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, TypedDict

from langchain_core.messages import HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from langgraph_savers import conversation, thread
from langgraph_valkey import ValkeySaver


class Steps(TypedDict, total=False):
    """The state of the graph below."""

    done: list[str]
    answer: str


def approval(saver: ValkeySaver, *, dies: bool = False) -> Any:
    """Build a graph that prepares, waits for a human, and acts; it can kill its own process while it acts."""

    def prepare(state: Steps) -> Steps:
        return {"done": [*state.get("done", []), "prepared"]}

    def ask(state: Steps) -> Steps:
        return {"answer": interrupt("go on?"), "done": [*state["done"], "asked"]}

    def act(state: Steps) -> Steps:
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"done": [*state["done"], f"acted on {state['answer']}"]}

    builder = StateGraph(Steps)
    builder.add_node("prepare", prepare)
    builder.add_node("ask", ask)
    builder.add_node("act", act)
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", "ask")
    builder.add_edge("ask", "act")
    return builder.compile(checkpointer=saver)


def converse(saver: ValkeySaver, name: str, turns: int) -> None:
    """Holds a conversation in a thread."""
    graph = conversation(saver)
    for turn in range(turns):
        graph.invoke({"messages": [HumanMessage(f"{name} {turn}")]}, thread(name))


if __name__ == "__main__":
    task, url, namespace, *rest = sys.argv[1:]
    with ValkeySaver(url, namespace=namespace) as opened:
        if task == "interrupted":
            approval(opened).invoke({"done": []}, thread("t"), durability="sync")
            os.kill(os.getpid(), signal.SIGKILL)
        elif task == "killed":
            from langgraph.types import Command

            graph = approval(opened, dies=True)
            graph.invoke(Command(resume="yes"), thread("t"), durability="sync")
        elif task == "crowd":
            from langgraph_crowd import crowd

            crowd(opened, rest[0], threads=int(rest[1]), puts=int(rest[2]))
        else:
            raise SystemExit(f"no such task: {task}")
