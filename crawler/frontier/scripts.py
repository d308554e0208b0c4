"""The Lua sources: one verb a file, each put behind the prelude and the clock that all of them share."""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Final

SCHEMA: Final = 3
"""Version of keys and entries; a crawl of another one is refused."""

SERVER_CLOCK: Final = """local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""
"""Time is the server's, so that clocks of workers never count. Tests put a clock of their own here."""


class Script:
    """One verb's Lua source and the digest by which Redis knows it."""

    __slots__ = ("digest", "source", "verb")

    def __init__(self, verb: str, source: str) -> None:
        self.verb = verb
        self.source = source
        self.digest = sha1(source.encode(), usedforsecurity=False).hexdigest()


@cache
def load(verb: str, clock: str = SERVER_CLOCK) -> Script:
    """The script of *verb*, with *clock* as the Lua source that defines `now_ms()`."""
    folder = files(__package__)
    prelude = folder.joinpath("prelude.lua").read_text(encoding="utf-8")
    head = f"local SCHEMA = '{SCHEMA}'\n{clock}"
    return Script(verb, head + prelude + folder.joinpath(f"{verb}.lua").read_text(encoding="utf-8"))
