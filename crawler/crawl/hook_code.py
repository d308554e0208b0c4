"""A hook that is given as a function: imported by workers where that is possible, else sent to them by value.

A function of a notebook, of a prompt or of stdin, a closure, a lambda or a method is in no file that a worker could
import. Its code goes from the process that defined it to its own workers, through the pipe by which each gets its job.
This is the only module that unpickles: nothing else ever comes through that pipe, and no pickle goes to Redis.
"""

from __future__ import annotations

import base64
import functools
import os
import pickle
import sys
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec

from crawler.errors import HookError
from crawler.settings import MAX_HOOK_NAME
from crawler.worker.hook import Hook, hook_name, is_of_main, load_hook, refuse_uncallable, spec_of

LOADED: Final = "loaded"
"""The answer of `try_out` if all is well."""


@dataclass(frozen=True, slots=True)
class GivenHook:
    """A hook as workers get it, and the name by which a crawl remembers it."""

    spec: str
    """By which workers import it; of one that is sent, its name."""
    name: str
    code: bytes = b""
    """The function itself; empty if it is imported."""

    @classmethod
    def of(cls, hook: Hook | str) -> GivenHook:
        """From a function, or from `module:function`. HookError if it can be no hook, or cannot be sent."""
        if isinstance(hook, str):
            return cls(hook, hook_name(hook))
        refuse_uncallable("hook", hook)
        spec = spec_of(hook)
        if spec is None:
            name = _name_of(hook)[:MAX_HOOK_NAME]
            return cls(name, name, _code_of(hook, name))
        return cls(spec, hook_name(spec.rpartition(":")[2] if is_of_main(hook) else spec))


def _name_of(hook: Any) -> str:
    while isinstance(hook, functools.partial):
        hook = hook.func
    return str(getattr(hook, "__name__", type(hook).__name__))


def _code_of(hook: Hook, name: str) -> bytes:
    import cloudpickle  # workers and commands do not need it

    try:
        return bytes(cloudpickle.dumps(hook))
    except Exception as error:  # whatever the values that it uses raise when they are copied
        why = " ".join(str(error).split())
        raise HookError(
            f"hook {name} cannot be sent to workers, because of a value that it uses ({type(error).__name__}: {why}):"
            " make connections, files and locks in the hook, or put it into a module"
        ) from None


def load(spec: str, code: bytes) -> Hook:
    """The hook in a worker: from *code*, else by importing *spec*. Raises HookError."""
    if not code:
        return load_hook(spec)
    try:
        hook: Hook = pickle.loads(code)
    except BaseException as error:  # it imports the modules that it uses, which may raise anything
        why = " ".join(str(error).split())
        raise HookError(f"hook {spec}: a worker cannot load it: {type(error).__name__}: {why}") from None
    return hook


def try_out(raw: bytes) -> NoReturn:
    """Load the hook of the JSON object *raw*, write LOADED or the problem to the descriptor in argv, and end."""
    answer = ""
    try:
        given = msgspec.json.decode(raw)
        load(given["hook"], base64.b64decode(given["code"]))
        answer = LOADED
    except HookError as error:
        answer = str(error)
    finally:
        os.write(int(sys.argv[1]), answer.encode("utf-8", "replace"))
        os._exit(0 if answer else 1)
