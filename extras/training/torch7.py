"""Reading Torch7's binary files (``.t7``): objects of ``nn`` and tensors, and nothing that runs.

The format is that of Torch7's ``File.lua``, little-endian: every value is its type (int32) and its content; tables and objects
carry a number, by which later ones refer to them; a tensor names its sizes, strides and first element in a storage, which is an
object of its own. Lua functions are stepped over. A file is hostile until read: its depth, its count of objects and all lengths
are bounded, nothing larger than the rest of the file is asked for, and a tensor may not reach beyond its storage.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

NIL, NUMBER, STRING, TABLE, OBJECT, BOOLEAN, FUNCTION, LEGACY_FUNCTION, RECURSIVE_FUNCTION = range(9)
#: Most of what a file may hold.
MAX_BYTES, MAX_OBJECTS, MAX_DEPTH, MAX_STRING, MAX_DIMENSIONS = 2 << 30, 500_000, 200, 1 << 20, 8
_ELEMENTS = {
    "Byte": "<u1", "Char": "<i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Float": "<f4", "Double": "<f8",
    "Cuda": "<f4", "CudaDouble": "<f8", "CudaLong": "<i8", "CudaInt": "<i4", "CudaShort": "<i2", "CudaByte": "<u1",
    "CudaChar": "<i1",
}  # fmt: skip


class Torch7Error(Exception):
    """The file is not what it should be; the message says where."""


@dataclass
class Object:
    """An object of a Torch7 class, for instance ``nn.SpatialConvolution``, with its fields."""

    kind: str
    fields: dict[Any, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        if name not in self.fields:
            raise Torch7Error(f"{self.kind} has no field {name}")
        return self.fields[name]

    @property
    def modules(self) -> list[Object]:
        """The modules of a container, in their order."""
        table = self["modules"]
        if not isinstance(table, dict):
            raise Torch7Error(f"{self.kind} has no list of modules")
        return [table[number] for number in sorted(key for key in table if isinstance(key, int))]


def load(path: Path) -> Any:
    """The value a file holds: number, string, boolean, ``dict`` for a table, array for a tensor, :class:`Object` for others.

    Raises :class:`Torch7Error`; :class:`OSError` when the file cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Torch7Error(f"the file has more than {MAX_BYTES >> 30} GiB")
    with path.open("rb") as file:
        return _Reader(file, size).value(0)


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._known: dict[int, Any] = {}

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Torch7Error("values are nested too deeply")
        kind = self._int()
        if kind == NIL:
            return None
        if kind == NUMBER:
            number = struct.unpack("<d", self._bytes(8))[0]
            return int(number) if number.is_integer() else number
        if kind == STRING:
            return self._string()
        if kind == BOOLEAN:
            return self._int() == 1
        if kind in (TABLE, OBJECT, FUNCTION, LEGACY_FUNCTION, RECURSIVE_FUNCTION):
            return self._numbered(kind, depth)
        raise Torch7Error(f"unknown type {kind} at byte {self._file.tell() - 4}")

    def _numbered(self, kind: int, depth: int) -> Any:
        if kind == FUNCTION:  # the oldest kind of function carries no number
            self._function(depth)
            return None
        number = self._int()
        if number in self._known:
            return self._known[number]
        if len(self._known) >= MAX_OBJECTS:
            raise Torch7Error("the file holds too many objects")
        if kind == TABLE:
            return self._table(number, depth)
        if kind == OBJECT:
            return self._object(number, depth)
        self._known[number] = None
        self._function(depth)
        return None

    def _function(self, depth: int) -> None:
        self._bytes(self._length(self._int(), 1))
        self.value(depth + 1)

    def _table(self, number: int, depth: int) -> dict[Any, Any]:
        table: dict[Any, Any] = {}
        self._known[number] = table
        for _ in range(self._length(self._int(), 8)):
            key = self.value(depth + 1)
            table[key if isinstance(key, str | int | float | bool) else id(key)] = self.value(depth + 1)
        return table

    def _object(self, number: int, depth: int) -> Any:
        version = self._string()
        name = self._string() if version.startswith("V ") else version
        package, _, kind = name.partition(".")
        if package == "torch" and kind.endswith("Storage") and kind[: -len("Storage")] in _ELEMENTS:
            made: Any = self._storage(np.dtype(_ELEMENTS[kind[: -len("Storage")]]))
        elif package == "torch" and kind.endswith("Tensor") and kind[: -len("Tensor")] in _ELEMENTS:
            made = self._tensor(np.dtype(_ELEMENTS[kind[: -len("Tensor")]]), depth)
        else:
            made = Object(name)
            self._known[number] = made  # before its fields, which may refer back to it
            fields = self.value(depth + 1)
            if not isinstance(fields, dict):
                raise Torch7Error(f"{name} is not made of fields")
            made.fields = fields
        self._known[number] = made
        return made

    def _storage(self, kind: np.dtype) -> np.ndarray:
        count = self._length(self._long(), kind.itemsize)
        return np.frombuffer(self._bytes(count * kind.itemsize), kind)

    def _tensor(self, kind: np.dtype, depth: int) -> np.ndarray:
        dimensions = self._int()
        if not 0 <= dimensions <= MAX_DIMENSIONS:
            raise Torch7Error(f"a tensor has {dimensions} dimensions")
        shape = [self._long() for _ in range(dimensions)]
        strides = [self._long() for _ in range(dimensions)]
        first = self._long() - 1
        storage = self.value(depth + 1)
        if dimensions == 0:
            return np.zeros(0, kind)
        if not isinstance(storage, np.ndarray) or storage.dtype != kind:
            raise Torch7Error("a tensor's storage is of another type")
        if min(shape) < 0 or min(strides) < 0 or first < 0:
            raise Torch7Error("a tensor has a negative size")
        if 0 in shape:
            return np.zeros(shape, kind)
        last = first + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        elements = int(np.prod(shape, dtype=object))
        if last >= len(storage) or elements > max(len(storage), 1):
            raise Torch7Error("a tensor reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(storage[first:], shape, [s * kind.itemsize for s in strides])
        return view.copy()

    def _string(self) -> str:
        length = self._length(self._int(), 1)
        if length > MAX_STRING:
            raise Torch7Error("a string is too long")
        return self._bytes(length).decode("utf-8", "replace")

    def _int(self) -> int:
        return struct.unpack("<i", self._bytes(4))[0]

    def _long(self) -> int:
        return struct.unpack("<q", self._bytes(8))[0]

    def _length(self, count: int, each: int) -> int:
        """A count of elements of ``each`` bytes or more, which the rest of the file must be able to hold."""
        if count < 0 or count * each > self._size - self._file.tell():
            raise Torch7Error(f"{count} elements at byte {self._file.tell()} do not fit into the file")
        return count

    def _bytes(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise Torch7Error("the file ends too early")
        return data
