"""Reads plain values out of a pickle without running it: no class is looked up, nothing is called.

Unpickling runs what a pickle says. Here its opcodes are only read (`pickletools.genops`), and those that build plain
values (text, bytes, numbers, None, lists, tuples, dicts) are followed. Whatever else an opcode would make becomes
OPAQUE. Time and memory are linear in the length of the pickle: a value that it repeats is shared, not copied.
"""

from __future__ import annotations

import pickletools
from typing import Any, Final


class _Opaque:
    """Stands for a value that only running the pickle would make."""

    def __repr__(self) -> str:
        return "OPAQUE"


OPAQUE: Final = _Opaque()
_MARK: Final = object()
_MAX_BYTES: Final = 16 << 20
"""A longer pickle is not read."""
_CONSTANTS: Final[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_WITH_VALUE: Final = frozenset(
    (
        *("INT", "LONG", "FLOAT", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
"""Opcodes whose argument is the value."""
_NOTHING: Final = frozenset(("PROTO", "FRAME", "STOP"))


def read(data: bytes) -> Any:
    """The value that *data* pickles, OPAQUE in place of what is not plain. Raises ValueError if it is no pickle."""
    if len(data) > _MAX_BYTES:
        raise ValueError(f"longer than {_MAX_BYTES >> 20} MB")
    reader = _Reader()
    try:
        for opcode, value, _ in pickletools.genops(data):
            reader.step(opcode, value)
        return reader.stack[-1]
    except (IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is damaged: {type(error).__name__}") from None


class _Reader:
    """The stack and the memo of a pickle machine that makes plain values only."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: pickletools.OpcodeInfo, value: Any) -> None:
        """Follow one opcode with its argument."""
        name, stack = opcode.name, self.stack
        if name in _WITH_VALUE:
            stack.append(value)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[value] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[value])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name not in _NOTHING:
            self._build(name, opcode)

    def _build(self, name: str, opcode: pickletools.OpcodeInfo) -> None:
        match name:
            case "EMPTY_DICT":
                self.stack.append({})
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_TUPLE":
                self.stack.append(())
            case "DICT" | "SETITEM" | "SETITEMS":
                items = self._marked() if name != "SETITEM" else self._popped(2)
                self._fill({} if name == "DICT" else self.stack.pop(), items)
            case "LIST" | "APPEND" | "APPENDS":
                items = self._marked() if name != "APPEND" else self._popped(1)
                self._fill([] if name == "LIST" else self.stack.pop(), items)
            case "TUPLE":
                self.stack.append(tuple(self._marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(self._popped(int(name[-1]))))
            case _:
                self._skip(opcode)

    def _fill(self, target: Any, items: list[Any]) -> None:
        """Put *items* into the dict or list *target*, unless it is OPAQUE, and *target* back onto the stack."""
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update((key, value) for key, value in pairs if isinstance(key, str | bytes | int | None))
        elif isinstance(target, list):
            target += items
        self.stack.append(target)

    def _popped(self, n: int) -> list[Any]:
        if len(self.stack) < n:
            raise IndexError
        items = self.stack[-n:]
        del self.stack[-n:]
        return items

    def _marked(self) -> list[Any]:
        """What lies above the last mark, which is taken away too."""
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _skip(self, opcode: pickletools.OpcodeInfo) -> None:
        """Take from the stack what *opcode* takes, and put OPAQUE where it puts something."""
        before = opcode.stack_before
        if pickletools.markobject in before:
            self._marked()
            before = before[: before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()
        self.stack += [OPAQUE] * len(opcode.stack_after)
