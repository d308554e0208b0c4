"""A user's hook: how it is found, and how it is named."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import HookError
from crawler.worker import hook as hooks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a user works in, with two modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "my_hooks.py").write_text("ANSWER = 42\n\ndef hook(page):\n    return page\n")
    (tmp_path / "broken_hooks.py").write_text("import nothing_of_this_name\n")
    yield tmp_path


def _refused(spec: str, *words: str) -> None:
    with pytest.raises(HookError) as caught:
        hooks.load_hook(spec)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("--hook", *words):
        assert word in message


@pytest.mark.parametrize("spec", ["my_hooks:hook", "my_hooks.py:hook", "./my_hooks.py:hook"])
def test_from_a_module_or_a_file(folder: Path, spec: str) -> None:
    page: Any = object()
    assert hooks.load_hook(spec)(page) is page


def test_from_a_file_by_its_whole_path(folder: Path) -> None:
    other = folder / "else where"
    other.mkdir()
    (other / "in:side.py").write_text("def hook(page):\n    return 1\n")
    page: Any = None
    assert hooks.load_hook(f"{other}/in:side.py:hook")(page) == 1


@pytest.mark.parametrize("spec", ["", "hook", ":hook", "my_hooks:", "my_hooks:not a name", "my_hooks.hook"])
def test_what_names_no_function(folder: Path, spec: str) -> None:
    _refused(spec, "module:function")


def test_what_cannot_be_loaded(folder: Path) -> None:
    _refused("not_there:hook", "not_there")
    _refused("not_there.py:hook", "not_there.py")
    _refused("broken_hooks:hook", "nothing_of_this_name")
    _refused("broken_hooks.py:hook", "nothing_of_this_name")
    _refused("my_hooks:other", "no function other")
    _refused("my_hooks:ANSWER", "no function ANSWER")


def test_a_module_that_ends_the_process(folder: Path) -> None:
    """A script without the usual guard may call sys.exit: that must not end the command without a word."""
    (folder / "script.py").write_text("import sys\nsys.exit(0)\n")
    _refused("script:hook", "SystemExit")


def test_a_module_whose_error_has_many_lines(folder: Path) -> None:
    (folder / "long.py").write_text("raise ValueError('one\\ntwo')\n")
    _refused("long:hook", "one two")


@pytest.mark.parametrize(
    "code",
    [
        "async def hook(page):\n    return 1\n",
        "async def hook(page):\n    yield 1\n",
        "class Hook:\n    async def __call__(self, page):\n        return 1\n\nhook = Hook()\n",
        "import functools\n\nasync def call(page, n):\n    return n\n\nhook = functools.partial(call, n=1)\n",
    ],
)
def test_an_async_function_is_refused_when_it_is_loaded(folder: Path, code: str) -> None:
    (folder / "waits.py").write_text(code)
    _refused("waits.py:hook", "async", "plain function")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("product.py:item", "product:item"),
        ("/a/b/product.py:item", "product:item"),
        ("./product:item", "product:item"),
        ("shop.product:item", "product:item"),
        ("product:item", "product:item"),
        ("a.b.py:item", "a.b:item"),
        ("/a/app.pyz/__main__.py:item", "item"),
        ("__main__:item", "item"),
        ("", ""),
        (f"{'x' * 300}:item", "x" * 200),
    ],
)
def test_a_crawl_remembers_a_hook_by_a_name_without_places(spec: str, name: str) -> None:
    assert hooks.hook_name(spec) == name


@pytest.mark.parametrize(
    ("own", "there", "refused"),
    [
        ("product:item", "product:item", False),
        ("product:item", "", False),
        ("", "", False),
        ("item", "product:item", False),
        ("product:item", "item", False),
        ("", "product:item", True),
        ("", "item", True),
        ("other:item", "product:item", True),
        ("product:other", "product:item", True),
        ("other", "item", True),
    ],
)
def test_another_hook_than_that_of_the_crawl_is_refused(own: str, there: str, refused: bool) -> None:
    words = f"crawl 'default' has the hook {there}, this command has {own or 'none'}: "
    with pytest.raises(HookError, match=words) if refused else nullcontext() as caught:
        hooks.refuse_other("default", own, there)
    assert (caught is not None) == refused


@pytest.mark.parametrize("code", ["def hook(): return 1\n", "def hook(page, more): return 1\n", "class hook: pass\n"])
def test_what_cannot_be_called_with_a_page_is_refused(folder: Path, code: str) -> None:
    (folder / "wrong.py").write_text(code)
    _refused("wrong.py:hook", "cannot be called with one argument, the page")


@pytest.mark.parametrize(
    "code", ["def hook(*pages): return 1\n", "def hook(page, more=1): return 1\n", "hook = print\n", "hook = type\n"]
)
def test_what_may_be_called_with_a_page_is_loaded(folder: Path, code: str) -> None:
    (folder / "right.py").write_text(code)
    assert callable(hooks.load_hook("right.py:hook"))
