"""FT.INFO replies of Valkey-Search 1.2.1, from RediSearch's report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dialect_rules import IndexSchema, SchemaField
from resp2 import Command, Reply, Simple
from stand_in_session import Exchange, Session, known_error, latin
from stand_in_state import State

_SHARDS = ("ALLSHARDS", "SOMESHARDS", "CONSISTENT", "INCONSISTENT")


def info_exchange(command: Command, session: Session) -> Exchange:
    """Return the handling of FT.INFO with at least one argument."""
    name, *options = latin(command[1:])
    scope = "LOCAL"
    for option in map(str.upper, options):
        if option in ("PRIMARY", "CLUSTER") and not session.state.cluster:
            return Exchange.failing(f"ERR {option} option is not valid in this configuration")
        if option in ("LOCAL", "PRIMARY", "CLUSTER"):
            scope = option
        elif option not in _SHARDS:
            return Exchange.failing(f"ERR unknown option '{option}'")

    def answer(replies: Sequence[Reply]) -> Reply:
        reply = known_error(replies[0], name, session)
        return _described(name, reply, scope, session.state) if isinstance(reply, list) else reply

    return Exchange([command[:2]], answer)


def _described(name: str, reply: list[Reply], scope: str, state: State) -> Reply:
    found = {bytes(key): value for key, value in _pairs(reply)}
    indexing = _number(found.get(b"indexing")) != 0
    share = f"{float(_text(found.get(b'percent_indexed')) or 1):.6f}"
    documents = round(_number(found.get(b"num_docs")))
    failures = str(round(_number(found.get(b"hash_indexing_failures"))))
    busy, ready = str(int(indexing)), "backfill_in_progress" if indexing else "ready"
    attributes = found.get(b"attributes")
    listed = attributes if isinstance(attributes, list) else []
    shown = [_attribute(one, state.schemas.get(name), scope) for one in listed]
    items: list[tuple[str, Reply]]
    match scope:
        case "CLUSTER":
            items = [("mode", _simple("cluster")), ("index_name", _simple(name))]
            items += [("backfill_in_progress", busy.encode())]
            items += [
                (f"backfill_complete_percent_{end}", share.encode()) for end in ("max", "min")
            ]
            items += [("state", _simple(ready)), ("attributes", shown)]
        case "PRIMARY":
            items = [("mode", _simple("primary")), ("index_name", _simple(name))]
            items += [("num_docs", str(documents).encode()), ("num_records", b"0")]
            items += [("hash_indexing_failures", failures.encode()), ("attributes", shown)]
        case _:
            items = [("index_name", _simple(name))]
            items += [("index_definition", _definition(found.get(b"index_definition")))]
            items += [("attributes", shown), ("num_docs", documents), ("num_records", 0)]
            items += [("hash_indexing_failures", failures.encode())]
            items += [("backfill_in_progress", busy.encode())]
            items += [("backfill_complete_percent", share.encode())]
            items += [("mutation_queue_size", b"0")]
            items += [("recent_mutations_queue_delay", b"0 sec"), ("state", _simple(ready))]
    return [part for key, value in items for part in (_simple(key), value)]


def _definition(reply: Reply) -> Reply:
    found = {bytes(key): value for key, value in _pairs(reply)}
    prefixes = found.get(b"prefixes")
    listed = prefixes if isinstance(prefixes, list) else []
    shown: list[Reply] = [_simple(_text(one)) for one in listed]
    kind = _simple(_text(found.get(b"key_type")))
    return [_simple("key_type"), kind, _simple("prefixes"), shown, _simple("default_score"), b"1"]


def _attribute(reply: Reply, schema: IndexSchema | None, scope: str) -> Reply:
    """One attribute; what RediSearch does not tell is taken from FT.CREATE."""
    assert isinstance(reply, list)
    found = {_text(key).lower(): value for key, value in zip(reply[::2], reply[1::2], strict=False)}
    alias, kind = _text(found["attribute"]), _text(found["type"])
    items: list[tuple[str, Reply]] = [("identifier", _simple(_text(found["identifier"])))]
    items += [("attribute", _simple(alias)), ("user_indexed_memory", 0)]
    if scope == "LOCAL":
        items.append(("type", _simple(kind)))
        field = None if schema is None else schema.fields.get(alias)
        match kind:
            case "VECTOR":
                items.append(("index", _vector(found, field)))
            case "TAG":
                sensitive = "1" if b"CASESENSITIVE" in reply else "0"
                items.append(("SEPARATOR", _simple(_text(found.get("separator")) or ",")))
                items += [("CASESENSITIVE", _simple(sensitive)), ("size", b"0")]
            case "TEXT":
                stem = "1" if b"NOSTEM" in reply else "0"
                items += [("WITH_SUFFIX_TRIE", _simple("0")), ("NO_STEM", _simple(stem))]
                items.append(("WEIGHT", _simple("1")))
            case _:
                items.append(("size", b"0"))
    return [part for key, value in items for part in (_simple(key), value)]


def _vector(found: dict[str, Reply], field: SchemaField | None) -> Reply:
    algorithm = _text(found.get("algorithm"))
    details: list[Reply] = [_simple("name"), _simple(algorithm)]
    if algorithm == "HNSW":
        numbers = (("m", 16), ("ef_construction", 200), ("ef_runtime", 10))
        for name, default in numbers:
            details += [_simple(name), round(_number(found.get(name), default))]
    else:
        details += [_simple("block_size"), 1024]
    dimension = round(_number(found.get("dim"))) or (field.dimension if field else 0)
    return [
        *(_simple("capacity"), 10_240, _simple("dimensions"), dimension),
        *(_simple("distance_metric"), _simple(_text(found.get("distance_metric")))),
        *(_simple("size"), b"0", _simple("data_type"), _simple("FLOAT32")),
        *(_simple("algorithm"), details),
    ]


def _pairs(reply: Reply) -> Iterator[tuple[bytes, Reply]]:
    """The names and values of a flat list."""
    items = reply if isinstance(reply, list) else []
    for name, value in zip(items[::2], items[1::2], strict=False):
        if isinstance(name, bytes):
            yield bytes(name), value


def _text(value: Reply) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")


def _number(value: Reply, default: float = 0.0) -> float:
    text = _text(value)
    return float(text) if text and text != "None" else default


def _simple(text: str) -> Simple:
    return Simple(text.encode("latin-1"))
