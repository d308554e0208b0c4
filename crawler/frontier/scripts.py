"""The Lua that Redis runs: one file for each verb, and the files that the verbs share, put together to one text.

The text of a verb is the names of keys, the clock, the files of `lua/shared` in the order of SHARED, then
`lua/VERB.lua`. Constants that Python knows too are replaced by their values. Redis runs a script from its first line at
every call, and makes each function anew that it defines: names and shared functions that a verb does not need are left
out, which saves 3 to 5 us a call.

`python -m crawler.frontier.scripts VERB` prints that text. Its line numbers are those of errors from Redis.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping
from functools import cache
from hashlib import sha1
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from crawler.frontier.keys import CONTENT_FIELDS, ENDED_BUCKETS, FIXED, MIN_ENDED_BUCKETS, NEAR_BANDS
from crawler.frontier.messages import Limits
from crawler.record import ENTRY, FOUND, OUTCOMES, Charge
from crawler.url_state import LAYOUT

SCHEMA: Final = 7
"""Version of keys and entries; a crawl of another one is refused."""
NEVER: Final = (1 << 53) - 1
"""A time that does not come. Scripts count in doubles: whatever they store is less."""
HEAVY_MS: Final = 100
"""From this CPU time of a worker on, one page counts as its site's."""
LABOUR_PARTS: Final = 20
LABOUR_MAX_MS: Final = 300_000
"""A site whose page took long rests this many times as long, up to this long, while other sites have work."""

IN_A_LOOP: Final = "failed:redirect-loop"
NEAR_BITS: Final = 6
"""Two texts are near each other if their hashes differ in up to this many of 64 bits (see policy/similarity.py)."""
NEAR_MAX: Final = 32
"""Pages of each value of a band that a text is compared with, the latest ones: a shard knows some 260,000 in all."""
NEAR_ENTRY: Final = 16
"""Bytes: the hash of a page's text, and the page's id."""

SEEN: Final = {"SET": 384, "SHARED": 256, "FAN": 32, "TOP": 4}
"""`seen`, by its names in Lua (see shared/seen.lua). SET: ids of one set, where the crawl does not say; on levels with
many sets one has as many on the average, and hardly ever a third more. SHARED: of a host in a set that it shares, at
most. FAN: how many times as many sets the next level has. TOP: the last level; it has no bound."""

IN_LUA: Final = {
    "SCHEMA": f"'{SCHEMA}'",
    "DATA": f"'{CONTENT_FIELDS['data']}'",
    **{name.upper(): f"KEYS[{n}]" for n, name in enumerate(FIXED, 1)},
    "OWN_KEYS": len(FIXED) + 1,  # where a verb's own keys begin
    **{"NEVER": NEVER, "CRASH": Charge.CRASH, "DEFAULT_OVERFLOW": Limits().overflow},
    **{"HEAVY_MS": HEAVY_MS, "LABOUR_PARTS": LABOUR_PARTS, "LABOUR_MAX_MS": LABOUR_MAX_MS},
    **{"NEAR_BITS": NEAR_BITS, "NEAR_MAX": NEAR_MAX, "NEAR_ENTRY": NEAR_ENTRY, "NEAR_BANDS": NEAR_BANDS},
    **{f"SEEN_{name}": n for name, n in SEEN.items()},
    **{f"ENTRY_{name}": n for name, n in ENTRY.items()},
    **{f"STATE_{name}": n for name, n in LAYOUT.items()},
    "FOUND": f"{{ {', '.join(map(repr, (*FOUND, 'fetched')))} }}",
    **{"ENDED_BUCKETS": ENDED_BUCKETS, "MIN_ENDED_BUCKETS": MIN_ENDED_BUCKETS},
    "OUTCOMES": f"{{ {', '.join(map(repr, OUTCOMES))} }}",
    **{"LOOP": f"'{IN_A_LOOP}'", "LOOP_NUMBER": OUTCOMES.index(IN_A_LOOP)},
}
"""Lua name -> value of what scripts and Python both know."""

SERVER_CLOCK: Final = """local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""
"""Time is the server's, so that clocks of workers never count. Tests put a clock of their own here."""

SHARED: Final = (
    *("head", "numbers", "crawl", "names", "queues", "counts", "hosts", "leases", "feedback", "entries"),
    *("seen", "admission", "outbox", "limits", "similar", "states"),
)
"""The files of `lua/shared`, in their order: Lua knows a local name only below its definition."""

_FUNCTION: Final = re.compile(r"^(?:--[^\n]*\n)*local function (\w+)\(.*?^end\n", re.MULTILINE | re.DOTALL)
"""A shared function, with the comment above it."""
_COMMENT: Final = re.compile(r" *--.*")
_VALUE: Final = re.compile(r"-?\d+|'[^']*'")
_WORD: Final = re.compile(r"--[^\n]*|'[^'\n]*'|\w+")
"""A comment, a string, or a word."""
_BLANK_LINES: Final = re.compile(r"\n{3,}")


_ARGS: Final = re.compile(r"^-- ARGS  ([a-z0-9_, ]+(?:(?<=,)\n-- +[a-z0-9_, ]+)*)", re.MULTILINE)
"""The names of a verb's arguments, in its header."""
_ARG: Final = re.compile(r"\bARG\.(\w+)")

Arg = str | bytes | int


class Script:
    """One verb's Lua source, the digest by which Redis knows it, and the names of its arguments in their order."""

    __slots__ = ("arguments", "digest", "source", "verb")

    def __init__(self, verb: str, source: str, arguments: tuple[str, ...] = ()) -> None:
        self.verb = verb
        self.source = source
        self.arguments = arguments
        self.digest = sha1(source.encode(), usedforsecurity=False).hexdigest()

    def ordered(self, named: Mapping[str, Arg]) -> list[Arg]:
        """The values of *named* as the script expects them. Raises TypeError if a name is missing, or is not one."""
        if named.keys() != set(self.arguments):
            raise TypeError(f"{self.verb} takes {', '.join(self.arguments)}, not {', '.join(named)}")
        return [named[name] for name in self.arguments]


_OF_WORKERS: Final = ("commit", "release", "retry", "robots", "put", "extend", "state", "judge_templates", "reap")


def load_those_of_workers() -> None:
    """Read what a worker may need, before it may find no descriptor left to read it by."""
    for verb in _OF_WORKERS:
        load(verb, SERVER_CLOCK)


@cache
def load(verb: str, clock: str = SERVER_CLOCK) -> Script:
    """The script of *verb*, with *clock* as the Lua source that defines `now_ms()`."""
    own = _read(f"{verb}.lua")
    found = _ARGS.search(own)
    arguments = tuple(re.findall(r"\w+", found[1])) if found else ()
    own = _ARG.sub(lambda name: f"ARGV[{arguments.index(name[1]) + 2}]", own)
    text = filled(needed(shared_text(), own) + own, {"REST": len(arguments) + 2})
    return Script(verb, f"{_named_for(text)}{clock}{text}", arguments)


def filled(text: str, more: Mapping[str, int] = MappingProxyType({})) -> str:
    """*text* with the values of constants in place of their names: a script of Lua has 200 local names at most.

    *more*: REST, the index behind the named arguments.
    """
    known = {name: str(value) for name, value in {**IN_LUA, **more}.items() if _VALUE.fullmatch(str(value))}
    return _WORD.sub(lambda found: known.get(found[0], found[0]), text)


def _named_for(text: str) -> str:
    """What else of IN_LUA *text* uses, one a line."""
    words = _words(text)
    return "".join(f"local {name} = {value}\n" for name, value in IN_LUA.items() if name in words)


@cache
def shared_text() -> str:
    """The files that the verbs share, as one text."""
    return "\n".join(_read(f"shared/{name}.lua") for name in SHARED)


def verbs() -> list[str]:
    """All verbs, in the order of the alphabet."""
    names = [path.name for path in files(__package__).joinpath("lua").iterdir()]
    return sorted(name.removesuffix(".lua") for name in names if name.endswith(".lua"))


def _read(name: str) -> str:
    return files(__package__).joinpath("lua").joinpath(name).read_text(encoding="utf-8")


def needed(shared: str, own: str) -> str:
    """*shared* without the functions that neither *own* nor anything else that is left names."""
    functions, outside = _named_in(shared)
    wanted, todo = set[str](), _words(own) | outside
    while todo := (todo & functions.keys()) - wanted:
        wanted |= todo
        todo = set[str]().union(*(functions[name] for name in todo))
    left = _FUNCTION.sub(lambda found: found[0] if found[1] in wanted else "", shared)
    return _BLANK_LINES.sub("\n\n", left)


@cache
def _named_in(shared: str) -> tuple[dict[str, set[str]], set[str]]:
    """The words of each function in *shared*, and those outside of all functions."""
    functions = {found[1]: _words(found[0]) for found in _FUNCTION.finditer(shared)}
    return functions, _words(_FUNCTION.sub("", shared))


def _words(source: str) -> set[str]:
    return set(re.findall(r"\w+", _COMMENT.sub("", source)))


def main(args: list[str]) -> int:
    """Print the text of the verb in *args*, or the names of all verbs. Return the exit code."""
    known = verbs()
    if not args:
        print("\n".join(known))
        return 0
    if len(args) > 1 or args[0] not in known:
        print(f"no such verb: {' '.join(args)} (one of {', '.join(known)})", file=sys.stderr)
        return 2
    for number, line in enumerate(load(args[0]).source.splitlines(), 1):
        print(f"{number:4} {line}".rstrip())
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end without an error where the reader of the pipe is gone
    sys.exit(main(sys.argv[1:]))
