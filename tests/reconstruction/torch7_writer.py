"""Writes Torch7's binary format as Torch7 itself does, so that there are files to read."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NUMBER, STRING, TABLE, OBJECT, BOOLEAN = 1, 2, 3, 4, 5
KINDS = {"<f4": "Float", "<f8": "Double", "<i8": "Long"}


@dataclass
class Module:
    """An object of a Torch7 class."""

    kind: str
    fields: dict[Any, Any] = field(default_factory=dict)


def sequential(*modules: Module) -> Module:
    return Module("nn.Sequential", {"modules": dict(enumerate(modules, 1)), "train": False})


def concat_table(*modules: Module) -> Module:
    return Module("nn.ConcatTable", {"modules": dict(enumerate(modules, 1))})


class Writer:
    """Collects the bytes of one file; an object that was written before is referred to by its number."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []

    def value(self, value: Any) -> bytes:
        """The file that holds ``value``."""
        self._value(value)
        return bytes(self.data)

    def _value(self, value: Any) -> None:
        if value is None:
            self._int(0)
        elif isinstance(value, bool):
            self._int(BOOLEAN)
            self._int(int(value))
        elif isinstance(value, int | float):
            self._int(NUMBER)
            self.data += struct.pack("<d", value)
        elif isinstance(value, str):
            self._int(STRING)
            self._string(value)
        elif isinstance(value, dict):
            self._int(TABLE)
            if self._new(value):
                self._int(len(value))
                for key, item in value.items():
                    self._value(key)
                    self._value(item)
        elif isinstance(value, Module):
            self._int(OBJECT)
            if self._new(value):
                self._class(value.kind)
                self._value(value.fields)
        else:
            self._tensor(value)

    def _tensor(self, array: np.ndarray) -> None:
        self._int(OBJECT)
        if not self._new(array):
            return
        kind = KINDS[array.dtype.str]
        self._class(f"torch.{kind}Tensor")
        self._int(array.ndim)
        for number in (*array.shape, *(s // array.itemsize for s in array.strides), 1):
            self.data += struct.pack("<q", number)
        self._int(OBJECT)
        self._new(object())
        self._class(f"torch.{kind}Storage")
        self.data += struct.pack("<q", array.size)
        self.data += array.tobytes("A")  # as it lies in memory, which the strides describe

    def _class(self, name: str) -> None:
        self._string("V 1")
        self._string(name)

    def _string(self, text: str) -> None:
        self._int(len(text.encode()))
        self.data += text.encode()

    def _new(self, value: Any) -> bool:
        known = id(value) in self._numbers
        self._alive.append(value)
        self._int(self._numbers.setdefault(id(value), len(self._numbers) + 1))
        return not known

    def _int(self, number: int) -> None:
        self.data += struct.pack("<i", number)
