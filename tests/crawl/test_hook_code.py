"""A hook that is given as a function: imported where a worker can, else sent by value."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from crawler.crawl import hook_code
from crawler.crawl.hook_code import GivenHook
from crawler.crawl.launcher import check_hook
from crawler.errors import HookError
from crawler.worker.hook import refuse_uncallable


def at_top(page: Any) -> Any:
    return page


def _typed_in(name: str, module: str = "__main__", file: str = "<stdin>") -> Any:
    own = types.FunctionType(at_top.__code__.replace(co_filename=file), {"__file__": file}, name)
    own.__module__, own.__qualname__ = module, name
    return own


class _Scraper:
    def __init__(self, word: str) -> None:
        self.word = word

    def item(self, page: Any) -> str:
        return f"{self.word} {page}"

    __call__ = item


def test_what_can_be_imported_is() -> None:
    given = GivenHook.of(at_top)
    assert given.code == b""
    assert given.spec.endswith(":at_top")
    assert GivenHook.of("shop/product.py:item") == GivenHook("shop/product.py:item", "product:item")
    assert GivenHook.of(refuse_uncallable_alone) == GivenHook("crawler.worker.hook:load_hook", "hook:load_hook")


refuse_uncallable_alone: Any = sys.modules[refuse_uncallable.__module__].__dict__["load_hook"]


@pytest.mark.parametrize(
    ("hook", "name", "result"),
    [
        (lambda page: [page], "<lambda>", ["x"]),
        (_typed_in("item"), "item", "x"),
        (functools.partial(lambda word, page: word + page, "a "), "<lambda>", "a x"),
        (_Scraper("a").item, "item", "a x"),
        (_Scraper("b"), "_Scraper", "b x"),
        ((lambda word: lambda page: f"{word} {page}")("c"), "<lambda>", "c x"),
    ],
)
def test_what_cannot_be_imported_is_sent(hook: Any, name: str, result: Any) -> None:
    given = GivenHook.of(hook)
    assert (given.spec, given.name) == (name, name)
    loaded: Any = hook_code.load(given.spec, given.code)
    assert loaded("x") == result


def test_a_function_of_the_script_that_runs_is_named_alone() -> None:
    own = _typed_in("item", file=__file__)
    own.__globals__["__spec__"] = None
    assert GivenHook.of(own) == GivenHook(f"{Path(__file__).absolute()}:item", "item")


def test_what_cannot_be_sent_is_refused_with_the_reason() -> None:
    lock = threading.Lock()
    with pytest.raises(HookError, match=r"hook <lambda> cannot be sent to workers, .*cannot pickle '_thread.lock'"):
        GivenHook.of(lambda page: lock)


async def _waits(page: Any) -> None: ...


@pytest.mark.parametrize(
    ("hook", "words"), [(5, "a function"), (_waits, "is async"), (lambda: 1, "one argument"), ("", "module:function")]
)
def test_what_is_no_hook_is_refused(hook: Any, words: str) -> None:
    with pytest.raises(HookError, match=words):
        given = GivenHook.of(hook)
        hook_code.load(given.spec, given.code)


def test_it_is_tried_in_a_process_of_its_own() -> None:
    given = GivenHook.of(lambda page: page)
    check_hook(given.spec, given.code)
    missing = GivenHook("item", "item", given.code.replace(b"cloudpickle.cloudpickle", b"cloudpickle.cloudpicklX"))
    assert missing.code != given.code
    with pytest.raises(HookError, match=r"hook item: a worker cannot load it: (ModuleNotFound|Import)Error"):
        check_hook(missing.spec, missing.code)


def test_commands_and_workers_do_not_load_the_library() -> None:
    code = "import sys, crawler.crawl.process, crawler.cli.app; print('cloudpickle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"
