"""Records as JSON documents: one writer of dataclasses, one reader that checks types."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, ClassVar, TypeVar

from bench.base.errors import excerpt

T = TypeVar("T")


class JsonRecord:
    """A dataclass that is written as a JSON object, by default one key per field.

    The class statement may say otherwise:

        class Bound(JsonRecord, keys="query_set shown_to_lose=lost settle?", format=1)

    `keys` lists attributes in the document's order: "key=attribute" where the names differ, "attribute?" where an empty
    value is null. `format` is the number that stands first. A name that the class lacks is a TypeError at its creation.
    """

    _keys: ClassVar[Mapping[str, tuple[str, bool]]] = {}
    _format: ClassVar[int | None] = None

    def __init_subclass__(cls, *, keys: str = "", format: int | None = None) -> None:
        """Take the keys apart."""
        super().__init_subclass__()
        declared = {}
        fields_of_class = {name for base in cls.__mro__ for name in vars(base).get("__annotations__", ())}
        for word in keys.split():
            key, _, attribute = word.rstrip("?").partition("=")
            attribute = attribute or key
            if attribute not in fields_of_class and not hasattr(cls, attribute):
                raise TypeError(f'{cls.__name__} has no attribute "{attribute}"')
            declared[key] = (attribute, word.endswith("?"))
        cls._keys, cls._format = declared or cls._keys, format or cls._format

    def to_json(self) -> dict[str, Any]:
        """The document, of JSON's own types; null where a number is not finite."""
        keys = self._keys or {field.name: (field.name, False) for field in fields(self)}  # type: ignore[arg-type]
        document: dict[str, Any] = {} if self._format is None else {"format": self._format}
        for key, (attribute, or_null) in keys.items():
            value = getattr(self, attribute)
            document[key] = None if or_null and not value else as_json(value)
        return document


def as_json(value: Any) -> Any:
    """A value of JSON's own types: records as objects, arrays and tuples as lists, paths as text, NaN as null."""
    if isinstance(value, str | int | None):  # first, because most values are
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, JsonRecord):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    return as_json(value.tolist())  # of NumPy: an array, or one number


def read_record(document: Any, of: type[T]) -> T:
    """A JSON value as a typed record: a `TypedDict`, a dataclass, or anything that pydantic checks.

    Raises:
        ValueError: the first value that does not fit: its place, what is there, what it should be.
    """
    from pydantic import ValidationError

    try:
        record: T = _reader(of).validate_python(document, strict=True)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{excerpt(part, 40)}" for part in first["loc"])
        place = place.removeprefix(".") or "it"
        if first["type"] == "missing":
            raise ValueError(f"{place} is missing") from None
        wanted = first["msg"].replace("Input should be", "expected")
        for pydantics, ours in (
            ("valid dictionary", "JSON object"),
            ("expected greater", "expected a number greater"),
            ("expected less", "expected a number less"),
        ):
            wanted = wanted.replace(pydantics, ours)
        raise ValueError(f"{place} is {excerpt(repr(first['input']), 40)}; {wanted}") from None
    return record


@functools.cache
def _reader(of: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(of)
