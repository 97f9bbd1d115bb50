"""Hits in the reply to a vector search, decoded in one pass.

A reply of ten records takes most of the client's time for a search, so this is one loop with few calls. It decodes what
replies usually hold, and leaves every other reply to the rows of `valkey_vector.engines.search.commands`, where the rules are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from valkey_vector.errors import UnreadableRecordError
from valkey_vector.records.metadata import load, load_plain
from valkey_vector.records.record import Hit, new_hit, new_record
from valkey_vector.schema.schema import Metric, VectorField
from valkey_vector.schema.similarity import similarity
from valkey_vector.storage.catalog import CatalogEntry, document_prefix, vector_name
from valkey_vector.storage.decoding import encoded_names
from valkey_vector.storage.layout import EXPIRES, VERSION
from valkey_vector.storage.record_version import OwnRecords, own_records
from valkey_vector.storage.rows import DISTANCE_FIELD

__all__ = ["TIED", "HitDecoder"]

_EXPIRES, _VERSION = EXPIRES.encode(), VERSION.encode()

TIED = 3
"""Number of last hits at one distance from which a search counts as trapped, see `valkey_vector.engines.search.knn`."""

_decode_number = msgspec.json.Decoder(float).decode


class HitDecoder:
    """Decodes the replies to searches for the same vector field and hash fields.

    Args:
        entry: catalog entry of the index.
        field: the vector field.
        names: names of the requested fields in a reply (`encoded_names`).
    """

    __slots__ = ("_is_cosine", "_metric", "_names", "_own", "_skip")

    def __init__(
        self, entry: CatalogEntry, field: VectorField, names: tuple[bytes | None, ...]
    ) -> None:
        self._skip = len(document_prefix(entry.name).encode())
        self._own: OwnRecords = own_records(entry.lineage, vector_name(field.name))
        self._metric = field.metric
        self._is_cosine = field.metric is Metric.COSINE
        self._names = names

    @classmethod
    def of(
        cls, entry: CatalogEntry, field: VectorField, fields: Sequence[str]
    ) -> HitDecoder | None:
        """Create the decoder; None if vectors are requested."""
        names = encoded_names(fields)
        return None if names is None else cls(entry, field, names)

    def hits(self, reply: Any, k: int, now: Callable[[], float]) -> list[Hit] | None:
        """Return the k nearest hits.

        Args:
            reply: the reply to FT.SEARCH.
            k: number of hits.
            now: returns the server time in milliseconds; called if a record has a time to live.

        Returns:
            None if the reply needs a closer look: it has fewer than k hits, or one of the first k is expired, is not
            certainly a record of the index whose fields are all valid, is unreadable, or is not farther than the one before;
            another one is not farther than they are; or the last hits are equally near.
        """
        found: Mapping[bytes, Any] = reply[1] if len(reply) > 1 else {}
        if len(found) < k:
            return None
        beginning, valid, skip = self._own.beginning, self._own.valid, self._skip
        content_name, metadata_name, parent_name, payload_name = self._names
        metric, is_cosine, last = self._metric, self._is_cosine, -math.inf
        hits: list[Hit] = []
        try:
            for key, pairs in islice(found.items(), k):
                version = pairs[_VERSION]
                names = valid[version[version.rfind(b":") + 1 :]]
                if not version.startswith(beginning) or not names.issuperset(pairs):
                    return None
                get: Callable[[bytes | None], bytes | None] = pairs.get
                ends = get(_EXPIRES)
                if ends is not None and float(ends) <= now():
                    return None
                distance = _decode_number(pairs[DISTANCE_FIELD])
                if not distance > last:
                    return None
                last = distance
                score = 1.0 - distance
                if not is_cosine or not -1.0 <= score <= 1.0:
                    score = similarity(distance, metric)
                content, metadata, parent = get(content_name), get(metadata_name), get(parent_name)
                decoded: dict[str, Any]
                if metadata:
                    decoded = load(metadata) if b"$" in metadata else load_plain(metadata)
                else:
                    decoded = {}
                record = new_record(
                    key[skip:].decode(),
                    content.decode() if content else "",
                    None,
                    decoded,
                    None if parent is None else parent.decode(),
                    get(payload_name),
                    {},
                )
                hits.append(new_hit(record, score, distance, score))
            for pairs in islice(found.values(), k, None):
                if not _decode_number(pairs[DISTANCE_FIELD]) > last:
                    return None
        except (KeyError, TypeError, ValueError, RecursionError, UnreadableRecordError):
            return None
        return hits if len(found) == k or _differ(found) else None


def _differ(found: Mapping[bytes, Mapping[bytes, bytes] | None]) -> bool:
    """Return False if the last three hits may have one distance; then nearer records may be unseen."""
    if len(found) < TIED:
        return True
    last = [None if pairs is None else pairs.get(DISTANCE_FIELD) for pairs in found.values()]
    return None not in (last[-1], last[-TIED]) and last[-1] != last[-TIED]
