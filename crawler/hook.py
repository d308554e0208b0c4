"""A user's hook: `module:function` or `file.py:function`, called in the worker with each Page that was parsed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crawler.errors import HookError
from crawler.page import Page

Hook = Callable[[Page], Any]
"""Returns what `data` of the record shall be: anything that JSON can hold, None for nothing; a generator's items."""


def load(spec: str) -> Hook:
    """The function that *spec* names; HookError says what is wrong with it."""
    module_name, colon, function_name = spec.rpartition(":")
    if not colon or not module_name or not function_name.isidentifier():
        raise HookError(f"--hook {spec!r}: write it as module:function or file.py:function")
    try:
        module = _load_file(Path(module_name)) if module_name.endswith(".py") else _load_module(module_name)
    except HookError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's module raises while it is imported
        why = " ".join(str(error).split())
        raise HookError(f"--hook {spec!r}: importing it failed: {type(error).__name__}: {why}") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise HookError(f"--hook {spec!r}: {module_name} has no function {function_name}")
    hook: Hook = function
    return hook


def _load_module(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _load_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_hook_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise HookError(f"--hook: there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def items(result: Any) -> Any:
    """What a hook returned, as the record keeps it: generators and iterators become lists."""
    if result is None or isinstance(result, dict | list | tuple | str | int | float | bool):
        return result
    return list(result) if hasattr(result, "__iter__") else result
