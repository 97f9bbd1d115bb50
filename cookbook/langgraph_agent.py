"""Run an agent whose memory survives its process: `python cookbook/langgraph_agent.py`.

The first process talks to the agent and is killed. The second process continues the same conversation (checkpointer). It also
starts a new conversation, which recalls a fact from the old one (store, searched by meaning). The model is a fake one that
follows simple rules. You can use any chat model of LangChain that calls tools instead.

Needs ``valkey-vector[agents,embedded]``. Without --url a private Valkey server keeps its data in a temporary directory.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langgraph_valkey import ValkeySaver, ValkeyStore
from valkey_vector import Connection

NAME = "cookbook-langgraph"
USER = ("memories", "ann")
DIMENSION = 256


class WordHashes(Embeddings):
    """Fake embedding model: each word counts in one dimension."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * DIMENSION
        for word in re.findall(r"\w+", text.lower()):
            if len(word) > 3:
                vector[zlib.crc32(word.rstrip("s").encode()) % DIMENSION] += 1.0
        return vector


@tool
def remember(fact: str, runtime: ToolRuntime) -> str:
    """Remember a fact about the user."""
    assert runtime.store is not None
    runtime.store.put(USER, fact, {"fact": fact})
    return "noted"


@tool
def recall(question: str, runtime: ToolRuntime) -> str:
    """Recall the fact about the user that fits a question best."""
    assert runtime.store is not None
    found = runtime.store.search(USER, query=question, limit=1)
    return found[0].value["fact"] if found else "nothing"


class FakeModel(BaseChatModel):
    """Fake model that remembers statements, recalls facts for questions and counts the turns."""

    @property
    def _llm_type(self) -> str:
        return "fake"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:  # noqa: ARG002 - LangChain passes them
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            said = "I will remember that." if last.content == "noted" else f"You said: {last.text}"
            turn = sum(isinstance(message, HumanMessage) for message in messages)
            return AIMessage(f"[turn {turn}] {said}")
        name, argument = ("recall", "question") if "?" in last.text else ("remember", "fact")
        call = {"name": name, "args": {argument: last.text}, "id": f"call-{len(messages)}"}
        return AIMessage("", tool_calls=[call])


def talk(url: str, texts: list[str], thread: str) -> None:
    """Send messages to the agent in a thread, and print its answers."""
    with Connection.open(url) as connection:
        agent = create_agent(
            FakeModel(),
            tools=[remember, recall],
            checkpointer=ValkeySaver(connection=connection, namespace=NAME),
            store=ValkeyStore(
                connection=connection,
                namespace=NAME,
                index={"embed": WordHashes(), "dims": DIMENSION, "fields": ["fact"]},
            ),
        )
        for text in texts:
            state = agent.invoke(
                {"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": thread}}
            )
            print(
                f"   {thread}  user:  {text}\n   {thread}  agent: {state['messages'][-1].text}",
                flush=True,
            )


def first(url: str) -> None:
    """Run the first process, until it kills itself."""
    talk(url, ["I live in Lisbon.", "My cats are called Bits and Bytes."], "monday")
    os.kill(os.getpid(), signal.SIGKILL)


def second(url: str) -> None:
    """Run the second process."""
    talk(url, ["Tell me, where do I live?"], "monday")
    talk(url, ["What are my cats called?"], "tuesday")


def clean(url: str) -> None:
    """Remove what this program stored."""
    with Connection.open(url) as connection:
        saver = ValkeySaver(connection=connection, namespace=NAME)
        saver.prune(["monday", "tuesday"], strategy="delete")
        ValkeyStore(
            connection=connection, namespace=NAME, index={"embed": WordHashes(), "dims": DIMENSION}
        ).clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a server; by default a private one in a temporary directory")
    parser.add_argument("--part", choices=["first", "second", "clean"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        {"first": first, "second": second, "clean": clean}[arguments.part](arguments.url)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        url = arguments.url or f"embedded://{directory}"
        # The temporary directory needs no cleaning: it is removed.
        for part in ("first", "second", "clean") if arguments.url else ("first", "second"):
            print(f"Process {part!r}:", flush=True)
            command = [sys.executable, __file__, "--url", url, "--part", part]
            ended = subprocess.run(command, check=False)  # noqa: S603 - this program itself
            print(f"   ended with {ended.returncode}", flush=True)


if __name__ == "__main__":
    main()
