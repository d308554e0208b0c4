"""A user's hook: `module:function` or `file.py:function`, called in the worker with each parsed Page.

A module is searched where the command or script searches for modules, and last in the current folder. For a file, its
own folder comes before everything else.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import runpy
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from crawler.errors import HookError
from crawler.parse.page import Page
from crawler.settings import MAX_HOOK_NAME

Hook = Callable[[Page], Any]
"""Returns the value of the record's `data`: anything JSON can hold, None for nothing; the items of a generator."""

_MAIN: Final = ("__main__", "__mp_main__")
_NOT_CALLED_SO: Final = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
_NO_PARENT: Final = "no known parent package"
"""Python's message for a relative import in a file that was loaded alone."""


# -- loading -----------------------------------------------------------------------------------------------------------


def load_hook(spec: str) -> Hook:
    """Load the function that *spec* names. HookError explains what is wrong with it."""
    module_name, colon, function_name = spec.rpartition(":")
    if not colon or not module_name or not function_name.isidentifier():
        raise HookError(f"--hook {spec!r}: write it as module:function or file.py:function")
    is_file = module_name.endswith(".py") or os.sep in module_name
    try:
        module = _load_file(Path(module_name).absolute()) if is_file else _load_module(module_name)
    except HookError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's module raises while it is imported
        why = " ".join(str(error).split())
        raise HookError(f"--hook {spec!r}: importing it failed: {type(error).__name__}: {why}") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        where = getattr(module, "__file__", None)
        found = "" if is_file or where is None else f" (it is {where}; name a file to mean another: file.py:function)"
        raise HookError(f"--hook {spec!r}: {module_name} has no function {function_name}{found}")
    refuse_uncallable(f"--hook {spec!r}", function)
    hook: Hook = function
    return hook


def refuse_uncallable(what: str, function: Any) -> None:
    """Raise HookError, in which *what* names it, for a *function* that cannot be called with a page as a hook is."""
    name = getattr(function, "__name__", type(function).__name__)
    if not callable(function):
        raise HookError(f"{what}: a function, or its name as module:function, is needed, not {name}")
    if any(is_kind(call) for call in (function, type(function).__call__) for is_kind in _NOT_CALLED_SO):
        raise HookError(f"{what}: {name} is async: write a plain function, and asyncio.run() in it")
    _refuse_arity(what, name, function)


def _refuse_arity(what: str, name: str, function: Callable[..., Any]) -> None:
    """Raise HookError if *function* cannot be called with one argument, as far as Python can tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a builtin
        return
    try:
        signature.bind(None)
    except TypeError:
        raise HookError(f"{what}: {name}{signature} cannot be called with one argument, the page") from None


def _load_module(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that it hides no installed module by chance
    return importlib.import_module(name)


def _load_file(path: Path) -> Any:
    """Load a file. While it is imported its own folder is searched first, as for a script; afterwards last."""
    place = str(path.parent)
    if place in sys.path:
        return _from_file(path)
    sys.path.insert(0, place)
    try:
        return _from_file(path)
    finally:
        sys.path.remove(place)
        sys.path.append(place)


def _from_file(path: Path) -> Any:
    if path.name == "__main__.py" and path.parent.is_file():  # a zipped application
        return SimpleNamespace(**runpy.run_path(str(path.parent), run_name="_hook"))
    if not path.is_file():
        raise HookError(f"--hook: there is no file {path}")
    try:
        return _load_source(path)
    except ImportError as error:
        package, root = _package_of(path)
        if _NO_PARENT not in str(error) or not package:
            raise
        sys.path.append(str(root))
        return importlib.import_module(f"{package}.{path.stem}")


def _load_source(path: Path) -> ModuleType:
    name = f"_hook_{path.stem}"
    loader = None if path.suffix in (".py", ".pyc") else SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise HookError(f"--hook: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _package_of(path: Path) -> tuple[str, Path]:
    """The package that a file is in (empty if none), and the folder where that package is found."""
    names: list[str] = []
    folder = path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names), folder


# -- its name ----------------------------------------------------------------------------------------------------------


def hook_name(spec: str) -> str:
    """The name by which a crawl remembers its hook, such as `product:item`: neither folders, packages nor `.py`."""
    module, _, function = spec.rpartition(":")
    is_file = module.endswith(".py") or os.sep in module
    name = Path(module).name.removesuffix(".py") if is_file else module.rpartition(".")[2]
    return (function if name in ("", "__main__") else f"{name}:{function}")[:MAX_HOOK_NAME]


def refuse_other(crawl: str, own: str, there: str) -> None:
    """Raise HookError if *own*, the name of a worker's hook, is not that of the crawl's, *there*."""
    if not there or own == there:
        return
    (module, _, function), (other, _, called) = there.rpartition(":"), own.rpartition(":")
    if function == called and not (module and other):  # one of them was in the script that was run
        return
    add = f"add --hook {module or 'FILE'}.py:{function}, or --no-hook to work without it"
    if own:
        add = f"use that one, or --no-hook; `crawler set hook {own}` makes this the crawl's hook"
    raise HookError(f"crawl {crawl!r} has the hook {there}, this command has {own or 'none'}: {add}")


# -- from this process to a worker -------------------------------------------------------------------------------------


def spec_of(hook: Hook) -> str | None:
    """A function as text by which another process can import it; None if no process could."""
    name, module = getattr(hook, "__qualname__", ""), getattr(hook, "__module__", None)
    if not isinstance(name, str) or not name.isidentifier() or not isinstance(module, str):
        return None
    if module in _MAIN:
        place = _place_of_main(hook)
        return f"{place}:{name}" if place else None
    found = sys.modules.get(module)
    if getattr(found, name, None) is not hook:
        return None
    file = getattr(found, "__file__", None)
    return f"{module if file is None or _is_found(module) else Path(file).absolute()}:{name}"


def is_of_main(hook: Hook) -> bool:
    """Whether it was defined in the script that runs, in a notebook, or at a prompt."""
    return getattr(hook, "__module__", None) in _MAIN


def _place_of_main(hook: Hook) -> str | None:
    """The module that was run: its name if `python -m` found it by that name, else the file in which *hook* is.

    None for what was typed in, came from stdin, or is in a notebook.
    """
    home = getattr(inspect.unwrap(hook), "__globals__", None) or vars(sys.modules["__main__"])
    spec, file = home.get("__spec__"), home.get("__file__")
    if spec is not None and spec.name not in _MAIN:
        return str(spec.name)
    if not isinstance(file, str) or not (Path(file).is_file() or Path(file).parent.is_file()):
        return None
    code = getattr(inspect.unwrap(hook), "__code__", None)
    typed_in = code is not None and code.co_filename.startswith("<")
    return None if typed_in else str(Path(file).absolute())


def _is_found(module: str) -> bool:
    """Whether a search through `sys.path` finds this very module under this name."""
    top = module.partition(".")[0]
    found = PathFinder.find_spec(top)
    return found is not None and found.origin == getattr(sys.modules.get(top), "__file__", None)


def import_path() -> list[str]:
    """Where this process searches for modules, for another process that must find the same: absolute, our own places
    last.

    Each is a byte string as text (Latin-1), because a path need not be Unicode.
    """
    places = [str(Path(place).absolute()) for place in sys.path if isinstance(place, str)]  # "" is the current folder
    places.append(str(Path(__file__).absolute().parents[2]))
    return [os.fsencode(place).decode("latin-1") for place in dict.fromkeys(places)]
