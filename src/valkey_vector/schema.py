"""Schemas: how an index measures and searches vectors, and which fields it gets besides.

Nothing needs declaring to be filtered on. A declared field gets an index field of its own: a numeric one is
searched by range without taking one of the pooled slots, a tag or text one can be grouped by or
searched as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, assert_never

from valkey_vector.errors import ConfigurationError

__all__ = [
    "Algorithm",
    "DeclaredField",
    "Flat",
    "FullText",
    "Hnsw",
    "Metric",
    "NumericField",
    "Schema",
    "TagField",
    "TextField",
]

LARGEST_DIMENSION = 32_768
"""What Valkey-Search 1.2 accepts."""

_STOP_WORDS = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this
to was will with
"""
ENGLISH_STOP_WORDS = tuple(_STOP_WORDS.split())
"""What both search modules leave out unless told otherwise."""

_LANGUAGES = """
arabic armenian basque catalan czech danish dutch english estonian finnish french german greek hindi hungarian
indonesian irish italian lithuanian nepali norwegian persian polish portuguese romanian russian serbian spanish
swedish tamil turkish yiddish
"""
LANGUAGES = frozenset(_LANGUAGES.split())
"""Those with a Snowball stemmer."""


class Metric(StrEnum):
    """How far apart two vectors are."""

    COSINE = "COSINE"
    L2 = "L2"
    IP = "IP"

    @classmethod
    def parse(cls, value: Metric | str) -> Metric:
        """Accept a member or its name in any case.

        Raises:
            ConfigurationError: the name is not a metric.
        """
        try:
            return cls(value.upper())
        except (ValueError, AttributeError):
            raise ConfigurationError(f"metric {value!r} is not one of {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hnsw:
    """Approximate search by a navigable graph: fast at any size.

    Attributes:
        m: links of a node, 2 to 512. More is better recall, memory and slower writes.
        ef_construction: candidates looked at while inserting, 1 to 4096.
        ef_runtime: candidates looked at while searching, 1 to 4096, unless a search says
            otherwise. The server's own default, 10, misses one neighbour in ten on real
            embeddings; 100 found 99.9% of them.
        initial_cap: vectors to make room for at first; None leaves it to the server.
    """

    name: ClassVar[Literal["HNSW"]] = "HNSW"

    m: int = 16
    ef_construction: int = 200
    ef_runtime: int = 100
    initial_cap: int | None = None

    def __post_init__(self) -> None:
        _check_range("m", self.m, 2, 512)
        _check_range("ef_construction", self.ef_construction, 1, 4096)
        _check_range("ef_runtime", self.ef_runtime, 1, 4096)
        _check_cap(self.initial_cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """Exact search that compares every vector: for up to some ten thousand.

    Attributes:
        initial_cap: vectors to make room for at first; None leaves it to the server.
    """

    name: ClassVar[Literal["FLAT"]] = "FLAT"

    initial_cap: int | None = None

    def __post_init__(self) -> None:
        _check_cap(self.initial_cap)


Algorithm: TypeAlias = Hnsw | Flat


@dataclass(frozen=True, slots=True)
class TagField:
    """A metadata item of exact text, or a list of them, as a TAG field of its own."""

    kind: ClassVar[Literal["tag"]] = "tag"
    path: str


@dataclass(frozen=True, slots=True)
class NumericField:
    """A metadata item that is a number wherever it occurs, as a NUMERIC field of its own."""

    kind: ClassVar[Literal["numeric"]] = "numeric"
    path: str


@dataclass(frozen=True, slots=True)
class TextField:
    """A metadata item of running text that can be searched by its words (Valkey-Search 1.2 or RediSearch).

    Attributes:
        path: of the item.
        stem: whether words are also found by other forms of theirs; needs the schema's `FullText` to do so.
    """

    kind: ClassVar[Literal["text"]] = "text"
    path: str
    stem: bool = True


DeclaredField: TypeAlias = TagField | NumericField | TextField

_KINDS: dict[str, type[TagField | NumericField | TextField]] = {
    "tag": TagField,
    "numeric": NumericField,
    "text": TextField,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FullText:
    """How texts are taken apart into words. The client does it, so every server finds the same.

    Attributes:
        language: whose forms of a word count as one: ``english``, ``german``, … (Snowball's).
        stop_words: words that are neither stored nor searched. None: for English the servers' own list (``the``,
            ``of``, …), for other languages none.
        punctuation: characters between words, besides white space; by default all that Unicode calls
            punctuation or symbol, but for ``_``. With a set of your own, all others are parts of words.
        stem: whether ``run`` finds ``running``.
        min_stem_size: words with fewer characters are left as they are.
        offsets: whether the server keeps the places of words, for it to find phrases among documents that have their
            words. Costs memory there; without, the client does that.
    """

    language: str = "english"
    stop_words: tuple[str, ...] | None = None
    punctuation: str | None = None
    stem: bool = True
    min_stem_size: int = 4
    offsets: bool = False

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ConfigurationError(
                f"language {self.language!r} is not one of {', '.join(sorted(LANGUAGES))}"
            )
        words = self.stop_words
        if words is not None and (
            not isinstance(words, tuple) or not all(isinstance(word, str) for word in words)
        ):
            raise ConfigurationError(f"stop_words must be a tuple of words, not {words!r}")
        if self.punctuation is not None and not isinstance(self.punctuation, str):
            raise ConfigurationError(f"punctuation must be text, not {self.punctuation!r}")
        _check_range("min_stem_size", self.min_stem_size, 1, 2**31 - 1)
        for name, value in (("stem", self.stem), ("offsets", self.offsets)):
            if not isinstance(value, bool):
                raise ConfigurationError(f"{name} must be True or False, not {value!r}")

    @property
    def left_out(self) -> tuple[str, ...]:
        """The stop words in force."""
        if self.stop_words is not None:
            return self.stop_words
        return ENGLISH_STOP_WORDS if self.language == "english" else ()

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> FullText:
        """The settings that ``dataclasses.asdict`` gives.

        Raises:
            ConfigurationError: a setting is unknown or not acceptable.
        """
        _check_known("text", settings, {field.name for field in fields(cls)})
        values = dict(settings)
        if isinstance(values.get("stop_words"), list):
            values["stop_words"] = tuple(values["stop_words"])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """All that is fixed when an index is made: Valkey-Search cannot alter one.

    Attributes:
        dimension: length of every vector, 1 to 32,768; None until the first vector tells.
        metric: COSINE, L2 or IP.
        algorithm: `Hnsw` or `Flat`.
        fields: metadata items with fields of their own; optional.
        numeric_slots: numeric fields kept ready for undeclared numbers and dates, 0 to 64. Each key that holds
            such takes one when it first appears. Keys beyond are still filtered exactly, only slower.
        text: how contents and declared `TextField`s are indexed for text and hybrid search; None
            leaves them out, which saves about twice the texts' size on the server.
    """

    dimension: int | None = None
    metric: Metric = Metric.COSINE
    algorithm: Algorithm = field(default_factory=Hnsw)
    fields: tuple[DeclaredField, ...] = ()
    numeric_slots: int = 10
    text: FullText | None = field(default_factory=FullText)

    def __post_init__(self) -> None:
        if self.dimension is not None:
            _check_range("dimension", self.dimension, 1, LARGEST_DIMENSION)
        _check_range("numeric_slots", self.numeric_slots, 0, 64)
        # Names are understood by `of`; here they would go unnoticed until first use.
        if not isinstance(self.metric, Metric):
            raise ConfigurationError(f"metric must be a Metric, not {self.metric!r}")
        if not isinstance(self.algorithm, Algorithm):
            raise ConfigurationError(f"algorithm must be Hnsw or Flat, not {self.algorithm!r}")
        if not isinstance(self.text, FullText | None):
            raise ConfigurationError(f"text must be FullText or None, not {self.text!r}")
        for declared in self.fields:
            if not isinstance(declared, DeclaredField):
                raise ConfigurationError(f"{declared!r} is no declared field")
        paths = [field.path for field in self.fields]
        for path in paths:
            if not isinstance(path, str) or not path:
                raise ConfigurationError(f"a declared field needs a name, not {path!r}")
            if paths.count(path) > 1:
                raise ConfigurationError(f"the field {path!r} is declared more than once")

    @classmethod
    def of(
        cls,
        source: Schema | Mapping[str, Any] | str | Path | None = None,
        *,
        dimension: int | None = None,
        metric: Metric | str | None = None,
        algorithm: Algorithm | str | None = None,
    ) -> Schema:
        """A schema from Python, a dict or a YAML file, with single settings laid over it.

        Args:
            source: a schema, a dict as `to_dict` gives it, the path of a YAML file with one, or None.
            dimension: overrides the source's, if given.
            metric: likewise.
            algorithm: likewise.

        Raises:
            ConfigurationError: a setting is unknown or out of range; names it.
        """
        match source:
            case None:
                schema = cls()
            case Schema():
                schema = source
            case Mapping():
                schema = cls.from_dict(source)
            case str() | Path():
                schema = cls.from_yaml(source)
            case _:
                raise ConfigurationError(
                    f"a schema is a Schema, a dict or the path of a YAML file, not {type(source).__name__}"
                )
        if dimension is not None:
            schema = replace(schema, dimension=dimension)
        if metric is not None:
            schema = replace(schema, metric=Metric.parse(metric))
        if algorithm is not None:
            schema = replace(schema, algorithm=_algorithm(algorithm))
        return schema

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Schema:
        """The schema `to_dict` describes. ``fields`` may also be a dict of path to kind.

        Raises:
            ConfigurationError: a setting is unknown or out of range; names it.
        """
        known = {"dimension", "metric", "algorithm", "fields", "numeric_slots", "text"}
        _check_known("schema", settings, known)
        values = dict(settings)
        if "metric" in values:
            values["metric"] = Metric.parse(values["metric"])
        if "algorithm" in values:
            values["algorithm"] = _algorithm(values["algorithm"])
        if "fields" in values:
            values["fields"] = tuple(_declared_fields(values["fields"]))
        if isinstance(values.get("text"), Mapping):
            values["text"] = FullText.from_dict(values["text"])
        return cls(**values)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Schema:
        """The schema in a YAML file. Needs ``valkey-vector[yaml]``.

        Raises:
            ConfigurationError: the file cannot be read, or a setting in it is wrong.
        """
        try:
            import yaml
        except ImportError as error:
            raise ConfigurationError(
                'a schema in YAML needs PyYAML: pip install "valkey-vector[yaml]"'
            ) from error
        try:
            settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigurationError(
                f"the schema file {str(path)!r} cannot be read: {error}"
            ) from error
        if not isinstance(settings, Mapping):
            raise ConfigurationError(f"the schema file {str(path)!r} holds no mapping of settings")
        return cls.from_dict(settings)

    def to_dict(self) -> dict[str, Any]:
        """The schema as JSON-like values."""
        return {
            "dimension": self.dimension,
            "metric": self.metric.value,
            "algorithm": {"name": self.algorithm.name, **asdict(self.algorithm)},
            "fields": [{"kind": field.kind, **asdict(field)} for field in self.fields],
            "numeric_slots": self.numeric_slots,
            "text": None if self.text is None else asdict(self.text),
        }


def _algorithm(value: Any) -> Algorithm:
    match value:
        case Hnsw() | Flat():
            return value
        case str():
            settings: dict[str, Any] = {"name": value}
        case Mapping():
            settings = dict(value)
        case _:
            raise ConfigurationError(f"algorithm {value!r} is not HNSW, FLAT or a dict with a name")
    name = str(settings.pop("name", "HNSW")).upper()
    match name:
        case "HNSW":
            _check_known("HNSW", settings, {"m", "ef_construction", "ef_runtime", "initial_cap"})
            return Hnsw(**settings)
        case "FLAT":
            _check_known("FLAT", settings, {"initial_cap"})
            return Flat(**settings)
        case _:
            raise ConfigurationError(f"algorithm {name!r} is not HNSW or FLAT")


def _declared_fields(value: Any) -> Iterable[DeclaredField]:
    if isinstance(value, Mapping):
        value = [{"path": path, "kind": kind} for path, kind in value.items()]
    for item in value:
        if isinstance(item, (TagField, NumericField, TextField)):
            yield item
            continue
        if not isinstance(item, Mapping) or not isinstance(item.get("path"), str):
            raise ConfigurationError(f"a declared field is a dict with path and kind, not {item!r}")
        kind = _KINDS.get(str(item.get("kind")))
        if kind is None:
            raise ConfigurationError(
                f"the field {item['path']!r} must have a path and a kind out of {', '.join(_KINDS)}"
            )
        settings = {name: value for name, value in item.items() if name != "kind"}
        _check_known(f"the field {item['path']!r}", settings, {each.name for each in fields(kind)})
        yield kind(**settings)


def algorithm_settings(algorithm: Algorithm) -> dict[str, int]:
    """The algorithm's parameters by their name in FT.CREATE, those left to the server left out."""
    match algorithm:
        case Hnsw(m=m, ef_construction=ef_construction, ef_runtime=ef_runtime, initial_cap=cap):
            settings = {"M": m, "EF_CONSTRUCTION": ef_construction, "EF_RUNTIME": ef_runtime}
        case Flat(initial_cap=cap):
            settings = {}
        case _:
            assert_never(algorithm)
    return settings if cap is None else {"INITIAL_CAP": cap, **settings}


def _check_known(owner: str, settings: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(str(name) for name in settings if name not in known)
    if unknown:
        raise ConfigurationError(
            f"{owner} has no setting {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}"
        )


def _check_range(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(
            f"{name} must be a whole number from {low} to {high}, not {value!r}"
        )


def _check_cap(value: int | None) -> None:
    if value is not None:
        _check_range("initial_cap", value, 1, 2**31 - 1)
