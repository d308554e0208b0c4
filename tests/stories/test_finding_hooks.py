"""Hooks are found by workers however their script found them, and tried once before anything is stored."""

from __future__ import annotations

import subprocess
import sys
import zipapp
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stories.commands import Commands, Done
from tests.stories.sites import Sites, html

pytestmark = pytest.mark.slow

HELPER = "def clean(text):\n    return (text or '').upper()\n"
MAIN = """
from crawler import Crawl
{imports}

def hook(page):
    return clean(page.title)

if __name__ == "__main__":
    {before}
    with Crawl({url!r}, delay=0, workers=1, folder={folder!r}) as crawl:
        crawl_with = Crawl({url!r}, delay=0, workers=1, folder={folder!r}, hook=hook)
    with crawl_with as crawl:
        crawl.run()
        print([record.data for record in crawl.records()])
"""


def _write(commands: Commands, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = commands.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _python(commands: Commands, *arguments: str, stdin: str = "", **env: str) -> Done:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=commands.folder, env=commands.env | env, input=stdin, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def script(commands: Commands, sites: Sites) -> Callable[..., str]:
    """A script that crawls one page by its own hook."""
    site = sites.add()
    site.serve("/", html(title="title"))

    def of(imports: str = "from helpers import clean", before: str = "pass") -> str:
        folder = str(commands.folder / "data")
        return MAIN.format(imports=imports, before=before, url=site.url("/"), folder=folder)

    return of


def _found(done: Done) -> None:
    assert (done.code, done.out) == (0, "['TITLE']\n"), done.err


def test_a_script_in_another_folder(commands: Commands, script: Callable[..., str]) -> None:
    _write(commands, {"proj/helpers.py": HELPER, "proj/script.py": script()})
    _found(_python(commands, "proj/script.py"))


def test_a_script_without_an_ending(commands: Commands, script: Callable[..., str]) -> None:
    _write(commands, {"proj/helpers.py": HELPER, "proj/start": script()})
    _found(_python(commands, "proj/start"))


def test_a_module_of_a_package_and_a_package(commands: Commands, script: Callable[..., str]) -> None:
    """`python -m pkg.run` and `python -m pkg`, with relative imports."""
    text = script("from .helpers import clean")
    _write(commands, {"pkg/__init__.py": "", "pkg/helpers.py": HELPER, "pkg/run.py": text, "pkg/__main__.py": text})
    _found(_python(commands, "-m", "pkg.run"))
    _python(commands, "-c", f"import shutil; shutil.rmtree({str(commands.folder / 'data')!r})")
    _found(_python(commands, "-m", "pkg"))


def test_a_script_that_changes_the_path(commands: Commands, script: Callable[..., str]) -> None:
    """By a relative name, and then it goes elsewhere."""
    imports = "import os, sys\nsys.path.insert(0, 'lib')\nfrom helpers import clean"
    _write(commands, {"lib/helpers.py": HELPER, "script.py": script(imports, "sys.path[0] = os.path.abspath('lib')")})
    _found(_python(commands, "script.py"))


def test_a_relative_pythonpath_and_another_folder_later(commands: Commands, script: Callable[..., str]) -> None:
    _write(
        commands,
        {"lib/helpers.py": HELPER, "script.py": script("import os\nfrom helpers import clean", "os.chdir('/')")},
    )
    _found(_python(commands, "script.py", PYTHONPATH="lib"))


def test_a_hook_of_a_module_that_was_loaded_by_hand(commands: Commands, script: Callable[..., str]) -> None:
    """A plugin, from a folder that is on no path."""
    load = "from importlib import util\nspec = util.spec_from_file_location('plugin', 'plugins/one.py')\n"
    load += "plugin = util.module_from_spec(spec)\nimport sys\nsys.modules['plugin'] = plugin\n"
    load += "spec.loader.exec_module(plugin)\n"
    text = script(load).replace("hook=hook", "hook=plugin.hook").replace("def hook(page)", "def other(page)")
    _write(commands, {"plugins/one.py": "def hook(page):\n    return page.title.upper()\n", "script.py": text})
    _found(_python(commands, "script.py"))


def test_a_zipped_application(commands: Commands, script: Callable[..., str]) -> None:
    _write(commands, {"app/helpers.py": HELPER, "app/__main__.py": script()})
    zipapp.create_archive(commands.folder / "app", commands.folder / "app.pyz")
    _found(_python(commands, "app.pyz"))


def test_a_folder_that_is_run(commands: Commands, script: Callable[..., str]) -> None:
    _write(commands, {"app/helpers.py": HELPER, "app/__main__.py": script()})
    _found(_python(commands, "app"))


def test_under_a_profiler(commands: Commands, script: Callable[..., str]) -> None:
    _write(commands, {"proj/helpers.py": HELPER, "proj/script.py": script()})
    done = _python(commands, "-m", "cProfile", "-o", "profile", "proj/script.py")
    assert "['TITLE']" in done.out, done.err


@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_what_was_typed_in_is_sent_to_the_workers(commands: Commands, script: Callable[..., str], how: str) -> None:
    text = script("def clean(text): return text.upper()")
    _found(_python(commands, "-c", text) if how == "-c" else _python(commands, stdin=text))


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        ("proj/file.py:hook", {"proj/helpers.py": HELPER, "proj/file.py": "from helpers import clean\n"}),
        (
            "pkg/sub/file.py:hook",
            {
                "pkg/__init__.py": "",
                "pkg/sub/__init__.py": "",
                "pkg/helpers.py": HELPER,
                "pkg/sub/file.py": "from ..helpers import clean\n",
            },
        ),
        ("mod:hook", {"helpers.py": HELPER, "mod.py": "from helpers import clean\n"}),
        ("pkg.mod:hook", {"pkg/helpers.py": HELPER, "pkg/mod.py": "from .helpers import clean\n"}),
    ],
    ids=["beside a file", "a file of a package", "a module here", "a namespace package here"],
)
def test_on_the_command_line(commands: Commands, sites: Sites, spec: str, files: dict[str, str]) -> None:
    site = sites.add()
    site.serve("/", html(title="title"))
    last = list(files)[-1]
    files = files | {last: files[last] + "def hook(page):\n    return clean(page.title)\n"}
    _write(commands, files)
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "--hook", spec, "-o", "-")
    assert done.code == 0, done.err
    assert [record["data"] for record in done.records()] == ["TITLE"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
        ("import os\nos._exit(3)\n", "importing it ended the process (exit code 3)"),
        ("import os\nos._exit(0)\n", "importing it ended the process (exit code 0)"),
        ("import os\nos.abort()\n", "importing it ended the process (SIGABRT)"),
        ("import sys\nsys.exit()\n", "SystemExit"),
        ("x = 1\n", "has no function hook"),
    ],
    ids=["import", "exit", "exit as if well", "abort", "SystemExit", "no function"],
)
def test_a_hook_that_cannot_be_loaded_stores_nothing(commands: Commands, sites: Sites, text: str, words: str) -> None:
    commands.write("hk.py", text)
    done = commands.run("run", sites.add().url("/"), "--hook", "hk.py:hook")
    assert (done.code, len(done.lines)) == (2, 1), done.err
    assert words in done.err
    assert not (commands.folder / ".crawler").exists()


def test_a_thread_that_begins_at_the_import_holds_no_command_up(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html())
    begin = "import queue, threading\nthreading.Thread(target=queue.Queue().get).start()\n"
    commands.write("hk.py", begin + "def hook(page):\n    return 1\n")
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "--hook", "hk.py:hook")
    assert done.code == 0, done.err


def test_from_python_it_is_one_error_before_anything_is_stored(commands: Commands, script: Callable[..., str]) -> None:
    """The script can be imported by its own name alone, not by the worker: it needs an argument."""
    text = script("import sys\nsys.argv[1]\ndef clean(text): return text")
    _write(commands, {"script.py": text})
    done = _python(commands, "script.py", "argument")
    assert done.code == 1
    assert "crawler.errors.HookError: " in done.err.splitlines()[-1]
    assert "IndexError" in done.err.splitlines()[-1]
    assert done.err.count("Traceback") == 1


# -- the current folder ------------------------------------------------------------------------------------------------

EVIL = "open({mark!r}, 'a').write(__name__ + '\\n')\nraise SystemExit('evil')\n"
SHADOWS = ("msgspec", "redis", "crawler", "click", "selectolax", "pycurl", "logging", "json", "urllib3", "bs4")


@pytest.mark.parametrize("place", ["elsewhere", "here"])
@pytest.mark.parametrize("start", ["crawler", "python -m crawler"])
def test_modules_that_lie_in_the_current_folder_are_not_imported_by_accident(
    commands: Commands, sites: Sites, start: str, place: str
) -> None:
    """Neither by a command nor by its workers, wherever their hook is."""
    site = sites.add()
    site.serve("/", html(title="title"))
    mark = commands.folder / "mark"
    names = [name for name in SHADOWS if name != "crawler" or start == "crawler"]  # -m names what is run by itself
    names = [name for name in names if start == "crawler" or name not in ("json", "logging")]
    _write(commands, {f"{name}.py": EVIL.format(mark=str(mark)) for name in names})
    folder = commands.folder if place == "here" else commands.base / "hooks"
    folder.mkdir(exist_ok=True)
    (folder / "hk.py").write_text("def hook(page):\n    return page.soup.title.text\n")
    spec = "hk.py:hook" if place == "here" else f"{folder / 'hk.py'}:hook"
    arguments = ["run", site.url("/"), "--delay", "0", "-n", "1", "--hook", spec]
    more = ["--fetcher", "requests", "-o", "-"]
    done = (
        commands.run(*arguments, *more) if start == "crawler" else _python(commands, "-m", "crawler", *arguments, *more)
    )
    assert done.code == 0, done.err
    assert done.records()[0]["data"] == "title"
    assert not mark.exists(), mark.read_text()


def test_a_file_of_settings_is_named(commands: Commands) -> None:
    commands.write("crawler.toml", 'crawl = "other"\n')
    done = commands.run("list")
    assert done.code == 0
    assert done.err.count(f"settings are read from {Path(commands.folder) / 'crawler.toml'}") == 1
