"""Names that differ between Haystack 2.28 and 3, for tests that run with both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import haystack
from haystack import Pipeline, component, default_from_dict, default_to_dict
from haystack.utils import deserialize_callable, serialize_callable

__all__ = ["AwaitedPipeline", "FunctionTextEmbedder", "close_pipeline", "close_pipeline_async"]

AwaitedPipeline: type[Pipeline] = (
    Pipeline if hasattr(Pipeline, "run_async") else getattr(haystack, "AsyncPipeline")  # noqa: B009
)
"""A pipeline with `run_async`: Haystack 2 has a class of its own for it."""


@component
class FunctionTextEmbedder:
    """A text embedder as Haystack's own are; Haystack 2.28 has none that needs no model.

    Args:
        embedding_fn: the vector of a text; by default it depends on the text's length.
        dimension: of the default vectors.
    """

    def __init__(
        self, embedding_fn: Callable[[str], list[float]] | None = None, dimension: int = 8
    ) -> None:
        self.embedding_fn = embedding_fn
        self.dimension = dimension
        self.warmed_up = False

    def warm_up(self) -> None:
        """As an embedder loads its model."""
        self.warmed_up = True

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """Embed a text."""
        return {"embedding": self._embedding(text), "meta": {}}

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    async def run_async(self, text: str) -> dict[str, Any]:
        """Embed a text."""
        return {"embedding": self._embedding(text), "meta": {}}

    def to_dict(self) -> dict[str, Any]:
        """As pipelines write components down."""
        function = None if self.embedding_fn is None else serialize_callable(self.embedding_fn)
        return default_to_dict(self, embedding_fn=function, dimension=self.dimension)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FunctionTextEmbedder:
        """From what `to_dict` wrote."""
        settings = data["init_parameters"]
        if settings.get("embedding_fn"):
            settings["embedding_fn"] = deserialize_callable(settings["embedding_fn"])
        made: FunctionTextEmbedder = default_from_dict(cls, data)
        return made

    def _embedding(self, text: str) -> list[float]:
        if self.embedding_fn is not None:
            return self.embedding_fn(text)
        return [1.0, *(float(len(text) % (2 + place)) for place in range(1, self.dimension))]


def close_pipeline(pipeline: Pipeline) -> None:
    """`Pipeline.close` of Haystack 3; in Haystack 2 the user closes the components."""
    if hasattr(pipeline, "close"):
        pipeline.close()
        return
    part: Any
    for _, part in pipeline.walk():
        part.close()


async def close_pipeline_async(pipeline: Pipeline) -> None:
    """Async version of `close_pipeline`."""
    if hasattr(pipeline, "close_async"):
        await pipeline.close_async()
        return
    part: Any
    for _, part in pipeline.walk():
        await part.close_async()
