"""Hits in the reply to a vector search, decoded in one pass.

A reply of ten records takes most of the client's time for a search, so this is one loop with few calls. It decodes what
replies usually hold, and leaves every other reply to the rows of `valkey_vector.engines.search.commands`, where the rules are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from valkey_vector.errors import UnreadableRecordError
from valkey_vector.records.metadata import load, load_plain
from valkey_vector.records.record import Hit, OpenHit, OpenRecord, Record
from valkey_vector.schema.schema import Metric, VectorField
from valkey_vector.schema.similarity import similarity
from valkey_vector.storage.catalog import CatalogEntry, document_prefix, vector_name
from valkey_vector.storage.decoding import encoded_names
from valkey_vector.storage.layout import EXPIRES, VERSION
from valkey_vector.storage.record_version import OwnRecords, own_records
from valkey_vector.storage.rows import DISTANCE_FIELD

__all__ = ["HitDecoder"]

_EXPIRES, _VERSION = EXPIRES.encode(), VERSION.encode()

_decode_number = msgspec.json.Decoder(float).decode


class HitDecoder:
    """Decodes the replies to searches for the same vector field and hash fields.

    Args:
        entry: catalog entry of the index.
        field: the vector field.
        names: names of the requested fields in a reply (`encoded_names`).
    """

    __slots__ = ("_is_cosine", "_metric", "_names", "_own", "_skip", "_usual")

    def __init__(
        self, entry: CatalogEntry, field: VectorField, names: tuple[bytes | None, ...]
    ) -> None:
        self._skip = len(document_prefix(entry.name).encode())
        self._own: OwnRecords = own_records(entry.lineage, vector_name(field.name))
        self._metric = field.metric
        self._is_cosine = field.metric is Metric.COSINE
        self._names = names
        # Distance, version, content and metadata: a hash with these four and no others is the usual one.
        self._usual = 4 if names[0] is not None and names[1] is not None else 0

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
            None if the reply needs a closer look: it has fewer than k hits; or a hit is not farther than the one before it;
            or one of the first k is expired, is unreadable, or is not certainly a record of the index whose fields are all
            valid.
        """
        found: Mapping[bytes, Any] = reply[1] if len(reply) > 1 else {}
        if len(found) < k:
            return None
        beginning, valid, skip = self._own.beginning, self._own.valid, self._skip
        content_name, metadata_name, parent_name, payload_name = self._names
        metric, is_cosine, last = self._metric, self._is_cosine, -math.inf
        create, usual = object.__new__, self._usual
        hits: list[Hit] = []
        try:
            for key, pairs in found.items():
                distance = _decode_number(pairs[DISTANCE_FIELD])
                if not distance > last:
                    return None
                last = distance
                if len(hits) == k:
                    continue
                version = pairs[_VERSION]
                names = valid[version[version.rfind(b":") + 1 :]]
                if not version.startswith(beginning) or not names.issuperset(pairs):
                    return None
                if len(pairs) == usual:
                    content, metadata = pairs[content_name], pairs[metadata_name]
                    parent = payload = None
                else:
                    ends = pairs.get(_EXPIRES)
                    if ends is not None and float(ends) <= now():
                        return None
                    content, metadata = pairs.get(content_name), pairs.get(metadata_name)
                    parent, payload = pairs.get(parent_name), pairs.get(payload_name)
                score = 1.0 - distance
                if not is_cosine or not -1.0 <= score <= 1.0:
                    score = similarity(distance, metric)
                record: Any = create(OpenRecord)
                record.id = key[skip:].decode()
                record.content = content.decode() if content else ""
                if not metadata:
                    record.metadata = {}
                else:
                    record.metadata = load(metadata) if b"$" in metadata else load_plain(metadata)
                record.parent = None if parent is None else parent.decode()
                record.payload = payload
                record.vector = None
                record.vectors = {}
                record.__class__ = Record
                hit: Any = create(OpenHit)
                hit.record = record
                hit.distance = distance
                hit.score = hit.similarity = score
                hit.__class__ = Hit
                hits.append(hit)
        except (KeyError, TypeError, ValueError, RecursionError, UnreadableRecordError):
            return None
        return hits
