"""The house stays as it was drawn: imports point down, a library has one door, nothing is evaluated, files stay short.

Each check takes a folder that holds the package and returns what is wrong in sentences, so that the checks themselves
are tested on copies with something broken in them.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "crawler"
MAX_LINES = 450
MAX_LINES_OF_A_FUNCTION = 40
MAX_METHODS = 20
"""Public ones of a class."""

MAX_LINE_OF_LUA = 120
FUNCTION_OF_LUA = re.compile(r"^( *)(?:local )?function ([\w.]+)\(.*?^\1end\b", re.MULTILINE | re.DOTALL)
LONG_FUNCTIONS_OF_LUA = {"accept": 78, "apply_event": 69, "lease_from": 57}
"""Function -> lines that it may have. They run for every page, and Redis makes each function of a script anew at every
call: split, they would cost more. Their parts share their locals, too."""

LAYERS = (
    ("__main__",),
    ("cli",),
    (PACKAGE,),  # what `import crawler` offers
    ("api",),
    ("monitor",),
    ("check",),
    ("crawl",),
    ("worker",),
    ("export",),
    ("frontier", "parse", "policy"),
    ("fetch",),
    (
        "record",
        "settings",
        "config",
        "fielddocs",
        "keywords",
        "headers",
        "logs",
        "events",
        "owners",
        "pattern",
        "rule_names",
        "text",
        "units",
        "clock",
        "url",
        "errors",
        "fingerprint",
        "url_state",
        "findings",
        "checked_page",
    ),
)
"""From the top: a module imports from its own folder and from lower layers alone. The last layer is the files beside
the folders, which may import each other; no cycle is allowed anywhere."""
GROUND = LAYERS[-1]

DOORS = {
    "IPython": ("api.progress",),
    "ada_url": ("url",),
    "backports": ("export.packers",),
    "bs4": ("parse.page", "parse.charset"),
    "brotli": ("fetch.decode",),
    "certifi": ("fetch.request_headers",),
    "chardet": ("parse.guess",),
    "chardetng_py": ("parse.guess",),
    "click": ("cli",),
    "cloudpickle": ("crawl.hook_code",),
    "hiredis": ("frontier.redis",),
    "hyperscan": ("parse.signs",),
    "isal": ("worker.contents",),
    "jinja2": ("monitor.report",),
    "jmespath": ("parse.json_path",),
    "markupsafe": ("monitor.report",),
    # Records and JSON: a codec of values, without I/O. Scope, robots and what is parsed do without it.
    "msgspec": (
        *(
            "record",
            "url_state",
            "findings",
            "checked_page",
            "settings",
            "logs",
            "events",
            "frontier",
            "export",
            "crawl",
            "worker",
            "check",
        ),
        *("fetch.fetcher", "fetch.route", "policy.politeness", "policy.changes"),
        *("cli.fetch", "cli.terminal", "cli.events", "monitor.dashboard"),
    ),
    "mammoth": ("parse.docx",),
    "obstore": ("export.bucket",),
    "prometheus_client": ("monitor.metrics",),
    "pyarrow": ("export.formats.parquet",),
    "pycurl": ("fetch.curl", "fetch.curl_transfer", "fetch.libcurl"),
    "pypdfium2": ("parse.pdf",),
    "re2": ("pattern",),
    "redis": ("frontier.redis",),
    "requests": ("fetch.requests",),
    "rich": ("monitor.live_screen",),
    "selectolax": ("parse.page",),
    "starlette": ("monitor.dashboard.app",),
    "tldextract": ("url",),
    "trafilatura": ("parse.article",),
    "urllib3": ("fetch.requests_connection",),
    "uvicorn": ("monitor.dashboard.server",),
    "webencodings": ("parse.charset",),
}
"""Library -> the only modules that may import it."""

UNPICKLES = "crawl.hook_code"
"""The one module that may: what a worker's own parent sends it through a pipe, never what was in Redis."""
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve"}
"""They run what they read, and Redis is an input."""


# -- reading -----------------------------------------------------------------------------------------------------------


def modules(folder: Path) -> dict[str, Path]:
    """Every module of the package under *folder*: name within the package (its own name for itself) -> file."""
    found = {}
    for path in sorted((folder / PACKAGE).rglob("*.py")):
        parts = path.relative_to(folder / PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or PACKAGE] = path
    return found


def tree(path: Path) -> ast.Module:
    return _tree(path.read_text(encoding="utf-8"))


def nodes(path: Path) -> list[ast.AST]:
    return _nodes(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=1_000)
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


@lru_cache(maxsize=1_000)
def _nodes(text: str) -> list[ast.AST]:
    return list(ast.walk(_tree(text)))


def imported(path: Path, folder: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import, wherever it stands: in functions and under TYPE_CHECKING too."""
    here = path.relative_to(folder).parent.parts
    for node in nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level + 1]) if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"


def own_imports(folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Module -> (line, module of ours that it imports)."""
    known = modules(folder)
    graph: dict[str, list[tuple[int, str]]] = {name: [] for name in known}
    for name, path in known.items():
        for line, dotted in imported(path, folder):
            if dotted.partition(".")[0] == PACKAGE:
                target = nearest(dotted.removeprefix(PACKAGE).removeprefix("."), known)
                if target != name:
                    graph[name].append((line, target))
    return graph


def nearest(dotted: str, known: dict[str, Path]) -> str:
    """The module in which *dotted* (a module, or a name in one) is found."""
    while dotted and dotted not in known:
        dotted = dotted.rpartition(".")[0]
    return dotted or PACKAGE


def layer_of(name: str) -> int | None:
    part = name.partition(".")[0]
    return next((level for level, names in enumerate(LAYERS) if part in names), None)


def among(name: str, doors: tuple[str, ...]) -> bool:
    return any(name == door or name.startswith(f"{door}.") for door in doors)


# -- checking ----------------------------------------------------------------------------------------------------------


def check_order(folder: Path) -> list[str]:
    """Imports point down."""
    problems = [
        f"{name} is in no layer: add it to LAYERS in tests/test_architecture.py, above all that it imports"
        for name in modules(folder)
        if layer_of(name) is None
    ]
    for name, targets in own_imports(folder).items():
        for line, target in targets:
            upper, lower = layer_of(name), layer_of(target)
            is_near = name.partition(".")[0] == target.partition(".")[0] or {name, target} <= {*GROUND}
            if upper is not None and lower is not None and lower <= upper and not is_near:
                problems.append(f"{name}, line {line}: imports {target}, which is not below it")
    return problems


def check_cycles(folder: Path) -> list[str]:
    """No module imports itself by way of others."""
    left = {name: {target for _, target in targets} for name, targets in own_imports(folder).items()}
    while free := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in free:
            del left[name]
    # what is left imports, or is imported by way of, a cycle: keep what lies on one
    while outer := [name for name in left if not any(name in targets for targets in left.values())]:
        for name in outer:
            del left[name]
    return [f"import cycle among {', '.join(sorted(left))}"] if left else []


def check_doors(folder: Path) -> list[str]:
    """Each library is imported where its door is."""
    return [
        f"{name}, line {line}: imports {library}, which only {', '.join(DOORS[library])} may"
        for name, path in modules(folder).items()
        for line, library in ((line, dotted.partition(".")[0]) for line, dotted in imported(path, folder))
        if library in DOORS and not among(name, DOORS[library])
    ]


def check_doors_are_used(folder: Path) -> list[str]:
    """No door that nobody goes through."""
    used = {
        (dotted.partition(".")[0], name)
        for name, path in modules(folder).items()
        for _, dotted in imported(path, folder)
    }
    return [
        f"DOORS lets {door} import {library}, which it does not"
        for library, doors in DOORS.items()
        for door in doors
        if not any(used_library == library and among(name, (door,)) for used_library, name in used)
    ]


def check_nothing_is_evaluated(folder: Path) -> list[str]:
    """Nothing that is read is run."""
    problems = []
    for name, path in modules(folder).items():
        for line, dotted in imported(path, folder):
            is_forbidden = dotted.partition(".")[0] in FORBIDDEN_IMPORTS and name != UNPICKLES
            if is_forbidden or dotted == "yaml.load":
                problems.append(f"{name}, line {line}: imports {dotted}")
        problems += [
            f"{name}, line {node.lineno}: calls {called}"
            for node in nodes(path)
            if isinstance(node, ast.Call) and (called := evaluates(node.func))
        ]
    return problems


def evaluates(function: ast.expr) -> str | None:
    """The name of a function that runs its argument; `client.eval` of Redis is none."""
    if isinstance(function, ast.Name) and function.id in ("eval", "exec"):
        return function.id
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        dotted = f"{function.value.id}.{function.attr}"
        if dotted in ("yaml.load", "yaml.unsafe_load", "builtins.eval", "builtins.exec"):
            return dotted
    return None


def check_sizes(folder: Path) -> list[str]:
    """Files and functions are short enough to be read, and a class does few enough things to be known."""
    problems = []
    for name, path in modules(folder).items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            problems.append(f"{name} has {lines} lines, more than {MAX_LINES}")
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                function, length = f"{name}.{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_LINES_OF_A_FUNCTION:
                    problems.append(f"{function} has {length} lines, more than {MAX_LINES_OF_A_FUNCTION}")
            elif isinstance(node, ast.ClassDef):
                methods = len(public_functions(node.body))
                if methods > MAX_METHODS:
                    problems.append(f"{name}.{node.name} has {methods} public methods, more than {MAX_METHODS}")
    return problems


def public_functions(body: list[ast.stmt]) -> set[str]:
    """The names of the functions that a module or class defines, those that begin with `_` aside."""
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in names if not name.startswith("_")}


def check_lua(folder: Path) -> list[str]:
    """The Lua too: short files and functions, lines of bounded length, and a head that says what the file holds."""
    scripts = folder / PACKAGE / "frontier" / "lua"
    problems, long = [], set()
    for path in sorted(scripts.rglob("*.lua")):
        name, text = path.relative_to(scripts).as_posix(), path.read_text(encoding="utf-8")
        lines = text.splitlines()
        if not text.startswith(f"-- {path.name}: "):
            problems.append(f"{name} does not say in a comment on its first line what it holds")
        if len(lines) > MAX_LINES:
            problems.append(f"{name} has {len(lines)} lines, more than {MAX_LINES}")
        problems += [
            f"{name}, line {number}: {len(line)} characters, more than {MAX_LINE_OF_LUA}"
            for number, line in enumerate(lines, 1)
            if len(line) > MAX_LINE_OF_LUA
        ]
        for found in FUNCTION_OF_LUA.finditer(text):
            length = found[0].count("\n") + 1
            if length > MAX_LINES_OF_A_FUNCTION:
                long.add(found[2])
            if length > LONG_FUNCTIONS_OF_LUA.get(found[2], MAX_LINES_OF_A_FUNCTION):
                problems.append(f"{name}: {found[2]} has {length} lines, more than {MAX_LINES_OF_A_FUNCTION}")
    return problems + [f"{name} is no long function of Lua" for name in LONG_FUNCTIONS_OF_LUA.keys() - long]


def check_verbs(folder: Path) -> list[str]:
    """One verb, one script, one function that builds its call, one test file."""
    builders = [folder / PACKAGE / "frontier" / name for name in ("verbs.py", "visits.py")]
    functions = {name for path in builders if path.is_file() for name in public_functions(tree(path).body)}
    problems = []
    for script in sorted((folder / PACKAGE / "frontier" / "lua").glob("*.lua")):
        verb = script.stem
        if verb not in functions:
            problems.append(f"{verb}.lua has no function verbs.{verb}")
        if not (folder / "tests" / "frontier" / f"test_{verb}.py").is_file():
            problems.append(f"{verb}.lua has no tests/frontier/test_{verb}.py")
    return problems


CHECKS = (
    *(check_order, check_cycles, check_doors, check_doors_are_used, check_nothing_is_evaluated, check_sizes),
    *(check_lua, check_verbs),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_package(check) -> None:  # type: ignore[no-untyped-def]
    problems = check(ROOT)
    assert not problems, "\n".join(problems)


def test_the_tables_name_each_module_once_and_only_libraries_that_are_declared() -> None:
    names = [name for layer in LAYERS for name in layer]
    assert len(names) == len(set(names))
    doors = {door.partition(".")[0] for modules_ in DOORS.values() for door in modules_}
    assert doors <= set(names)


# -- the checks themselves ---------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and of the names of its frontier's tests, to break."""
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests" / "frontier").mkdir(parents=True)
    for path in (ROOT / "tests" / "frontier").glob("test_*.py"):
        (tmp_path / "tests" / "frontier" / path.name).touch()
    return tmp_path


LONG_FUNCTION = "def long():\n" + "    pass\n" * MAX_LINES_OF_A_FUNCTION
LARGE_CLASS = "class Large:\n" + "".join(f"    def do_{n}(self): pass\n" for n in range(MAX_METHODS + 1))
LONG_LUA = "local function long()\n" + "  wake()\n" * (MAX_LINES_OF_A_FUNCTION - 1) + "end\n"
BROKEN = [
    (check_order, "newcomer.py", "X = 1\n", "newcomer is in no layer: add it to LAYERS"),
    (check_order, "url.py", "from crawler.fetch import guard\n", "url, line 1: imports fetch.guard"),
    (check_order, "policy/scope.py", "from crawler.parse.page import x\n", "policy.scope, line 1: imports parse.page"),
    (check_order, "policy/robots.py", "def f():\n    from .. import worker\n", "policy.robots, line 2: imports worker"),
    (check_order, "frontier/keys.py", "from ..monitor import x\n", "frontier.keys, line 1: imports monitor"),
    (check_order, "url.py", "if TYPE_CHECKING:\n    from crawler import Crawl\n", "url, line 2: imports crawler"),
    (check_cycles, "errors.py", "import crawler.url\n", "import cycle among errors, url"),
    (
        check_cycles,
        "fetch/guard.py",
        "from crawler.fetch import guard2\n",
        "import cycle among fetch.guard, fetch.guard2",
    ),
    (check_doors, "frontier/keys.py", "import redis.client\n", "frontier.keys, line 1: imports redis, which only"),
    (check_doors, "fetch/fetcher.py", "from pycurl import Curl\n", "fetch.fetcher, line 1: imports pycurl"),
    (check_doors, "parse/extract.py", "def f():\n    import ada_url\n", "parse.extract, line 2: imports ada_url"),
    (check_doors, "policy/scope.py", "import msgspec\n", "policy.scope, line 1: imports msgspec"),
    (check_nothing_is_evaluated, "url.py", "import pickle\n", "url, line 1: imports pickle"),
    (check_nothing_is_evaluated, "url.py", "from marshal import loads\n", "url, line 1: imports marshal.loads"),
    (check_nothing_is_evaluated, "url.py", "eval('1')\n", "url, line 1: calls eval"),
    (check_nothing_is_evaluated, "url.py", "yaml.load(x)\n", "url, line 1: calls yaml.load"),
    (check_sizes, "text.py", LONG_FUNCTION, f"text.long has {MAX_LINES_OF_A_FUNCTION + 1} lines"),
    (check_sizes, "text.py", LARGE_CLASS, f"text.Large has {MAX_METHODS + 1} public methods, more than {MAX_METHODS}"),
    (check_sizes, "newcomer.py", "\n" * (MAX_LINES + 1), f"newcomer has {MAX_LINES + 1} lines"),
    (check_lua, "frontier/lua/put.lua", "\n", "put.lua does not say in a comment on its first line what it holds"),
    (check_lua, "frontier/lua/newcomer.lua", "\n" * (MAX_LINES + 1), f"newcomer.lua has {MAX_LINES + 1} lines"),
    (check_lua, "frontier/lua/put.lua", "-- " + "x" * 118 + "\n", "put.lua, line 1: 121 characters, more than 120"),
    (check_lua, "frontier/lua/shared/hosts.lua", LONG_LUA, "shared/hosts.lua: long has 41 lines, more than 40"),
    (check_verbs, "frontier/lua/juggle.lua", "", "juggle.lua has no function verbs.juggle"),
    (check_verbs, "frontier/lua/new_call.lua", "", "new_call.lua has no tests/frontier/test_new_call.py"),
]


@pytest.mark.parametrize(("check", "name", "code", "problem"), BROKEN, ids=[case[3] for case in BROKEN])
def test_a_break_is_found(copy: Path, check, name: str, code: str, problem: str) -> None:  # type: ignore[no-untyped-def]
    if check is check_cycles:
        (copy / PACKAGE / "fetch" / "guard2.py").write_text("from crawler.fetch.guard import Guard\n")
    before = check(copy)
    path = copy / PACKAGE / name
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(code + old, encoding="utf-8")
    found = [one for one in check(copy) if one not in before and one.startswith(problem)]
    assert len(found) == 1


def test_a_door_that_nobody_uses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DOORS, "attrs", ("fetch",))
    assert check_doors_are_used(ROOT) == ["DOORS lets fetch import attrs, which it does not"]


def test_an_exception_that_lua_does_not_need_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LONG_FUNCTIONS_OF_LUA, "settle", 60)
    assert check_lua(ROOT) == ["settle is no long function of Lua"]


def test_what_is_harmless_is_left_alone(copy: Path) -> None:
    before = [check(copy) for check in (check_order, check_cycles, check_doors, check_nothing_is_evaluated)]
    harmless = (
        "from crawler import errors\nfrom crawler.errors import InvalidURL\nclient.eval('x')\nclient.evalsha('x')\n"
    )
    (copy / PACKAGE / "fetch" / "extra.py").write_text(harmless + "from crawler.fetch import guard\nimport json\n")
    after = [check(copy) for check in (check_order, check_cycles, check_doors, check_nothing_is_evaluated)]
    assert after == before


def test_only_a_public_function_is_a_verb_and_a_shared_script_is_none(tmp_path: Path) -> None:
    folder = tmp_path / PACKAGE / "frontier"
    (folder / "lua" / "shared").mkdir(parents=True)
    (folder / "verbs.py").write_text("def lease(shard): ...\ndef _put(shard): ...\n")
    for name in ("lease.lua", "_put.lua", "shared/head.lua"):
        (folder / "lua" / name).touch()
    assert check_verbs(tmp_path) == [
        "_put.lua has no function verbs._put",
        "_put.lua has no tests/frontier/test__put.py",
        "lease.lua has no tests/frontier/test_lease.py",
    ]


def test_a_package_without_scripts_has_no_verbs_to_miss(tmp_path: Path) -> None:
    assert check_verbs(tmp_path) == []
