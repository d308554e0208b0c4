"""The developer's documents are true: the files, code names, verbs, layers and limits that they name are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.test_architecture import GROUND, LAYERS, MAX_LINES, MAX_LINES_OF_A_FUNCTION, MAX_METHODS, PACKAGE, ROOT

DOCS: Final = tuple(
    ROOT / name
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", *(f"docs/{n}.md" for n in ("frontier", "worker", "skimming")))
)
FENCED: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FILE: Final = re.compile(r"[\w./-]*\w\.(?:py|lua|md|toml|yml|lock)")
FOLDER: Final = re.compile(r"(?:crawler|tests|docs|benchmarks)/[\w/]*")
PLACEHOLDER: Final = re.compile(r"(?:NAME|VERB)\.\w+$")
CLASS: Final = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")
MEMBER: Final = re.compile(r"([A-Z][A-Za-z0-9]+)\.([a-z_]\w*)")
IN_MODULE: Final = re.compile(r"([a-z_]+)\.([A-Za-z_]\w*)")
VERB_ROW: Final = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|.*\|.*\|.*\|$", re.MULTILINE)


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def named(path: Path) -> list[str]:
    """What stands in backticks in a document, and the dotted names of its fenced blocks."""
    fenced = "".join(FENCED.findall(path.read_text(encoding="utf-8")))
    return CODE.findall(prose(path)) + re.findall(r"[A-Za-z_]+\.[A-Za-z_]\w*", fenced)


@cache
def places() -> tuple[Path, ...]:
    """The folders from which a document may name a file: it says `frontier/keys.py` for one of the package's."""
    package = ROOT / PACKAGE
    return (ROOT, ROOT / "docs", package, package / "frontier", package / "frontier" / "redis")


@cache
def modules() -> dict[str, list[Path]]:
    """Name of a module, without its package -> the files of that name."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = path.parent.name if path.stem == "__init__" else path.stem
        found.setdefault(name, []).append(path)
    return found


@cache
def globals_of(path: Path) -> frozenset[str]:
    """What a module defines; of a package also what it hands on."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and path.stem == "__init__":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return frozenset(names)


def members_of(node: ast.ClassDef) -> set[str]:
    """The methods and fields of one class."""
    members: set[str] = set()
    for item in ast.walk(node):
        if isinstance(item, ast.FunctionDef):
            members.add(item.name)
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            members.add(item.target.id)
        elif isinstance(item, ast.Attribute) and isinstance(item.value, ast.Name) and item.value.id == "self":
            members.add(item.attr)
    return members


@cache
def classes() -> dict[str, set[str]]:
    """Class of the package -> its methods and fields, those of its bases in the package among them."""
    nodes = [
        node
        for paths in modules().values()
        for path in paths
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    found: dict[str, set[str]] = {}
    for node in nodes:
        found.setdefault(node.name, set()).update(members_of(node))
    for node in nodes:
        for base in node.bases:
            found[node.name] |= found.get(base.id, set()) if isinstance(base, ast.Name) else set()
    return found


def missing_files(names: list[str]) -> list[str]:
    """Files and folders that are named and are not there."""
    problems = []
    for name in names:
        if PLACEHOLDER.search(name):
            if not any((place / name).parent.is_dir() for place in places()):
                problems.append(f"{name}: no such folder")
        elif FILE.fullmatch(name) and not any((place / name).is_file() for place in places()):
            problems.append(f"{name}: no such file")
        elif FOLDER.fullmatch(name) and not (ROOT / name).is_dir():
            problems.append(f"{name}: no such folder")
    return problems


def missing_names(names: list[str]) -> list[str]:
    """Names that can only be those of code, and that no code has."""
    known = frozenset(name for paths in modules().values() for path in paths for name in globals_of(path))
    problems = []
    for name in names:
        if FILE.fullmatch(name):
            continue
        member, found = MEMBER.fullmatch(name), IN_MODULE.fullmatch(name)
        if CLASS.fullmatch(name):
            if name not in known:
                problems.append(f"{name}: no such class")
        elif member and member[2] not in classes().get(member[1], ()):
            problems.append(f"{name}: no such member")
        elif found and _is_code(found[1], found[2]):
            paths = modules().get(found[1], ())
            if not any(found[2] in globals_of(path) for path in paths):
                problems.append(f"{name}: no such name in a module {found[1]}")
    return problems


def _is_code(module: str, name: str) -> bool:
    """`robots.txt` and `page.at` are none; `messages.Shares`, `clock.since_boot` and `keys.tag` are."""
    return name != "txt" and (module in modules() or "_" in name or not name.islower())


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.stem)
def test_the_files_that_it_names_are_there(path: Path) -> None:
    names = named(path)
    assert [name for name in names if FILE.fullmatch(name)]
    assert missing_files(names) == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.stem)
def test_the_code_that_it_names_is_there(path: Path) -> None:
    assert missing_names(named(path)) == []


@pytest.mark.parametrize(
    "path", [*DOCS, ROOT / "docs/durability.md", ROOT / "docs/redis.md"], ids=lambda path: path.stem
)
def test_its_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose(path))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("frontier/keys.lua", "frontier/keys.lua: no such file"),
        ("crawler/rooms/", "crawler/rooms/: no such folder"),
        ("crawler/rooms/NAME.py", "crawler/rooms/NAME.py: no such folder"),
        ("ShardClerk", "ShardClerk: no such class"),
        ("Frontier.juggle", "Frontier.juggle: no such member"),
        ("Nobody.lease", "Nobody.lease: no such member"),
        ("keys.shard_off", "keys.shard_off: no such name in a module keys"),
        ("ledger.CrawlDb", "ledger.CrawlDb: no such name in a module ledger"),
        ("keys.Lease", "keys.Lease: no such name in a module keys"),
    ],
)
def test_a_name_that_is_gone_is_found(name: str, problem: str) -> None:
    assert missing_files([name]) + missing_names([name]) == [problem]


@pytest.mark.parametrize(
    "name",
    [
        *("frontier/keys.py", "keys.py", "docs/redis.md", "crawler/cli/NAME.py", "tests/stories/", "ShardClient"),
        *("Lease.what", "FrontierClient.is_done", "keys.tag", "record.OUTCOMES", "robots.txt", "a.example", "lease"),
    ],
)
def test_what_is_there_and_what_is_no_code_is_left_alone(name: str) -> None:
    assert missing_files([name]) + missing_names([name]) == []


def recipes() -> dict[str, list[str]]:
    """Heading of a recipe -> its numbered steps."""
    text = prose(ROOT / "CONTRIBUTING.md").partition("## Recipes")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)[1:]
    steps = [re.findall(r"^\d+\. .*(?:\n   .*)*", part, re.MULTILINE) for part in parts[1::2]]
    return dict(zip(parts[::2], steps, strict=True))


def test_there_is_a_recipe_for_each_common_change() -> None:
    assert list(recipes()) == [
        f"A{rest}"
        for rest in (
            *("n export format", " form of a check's report", " fetcher", " scope rule", " stored field", " command"),
            " frontier verb",
        )
    ]


def test_each_step_of_a_recipe_begins_with_a_file_and_is_numbered() -> None:
    for steps in recipes().values():
        assert [step.partition(".")[0] for step in steps] == [str(n + 1) for n in range(len(steps))]
        for step in steps:
            first = CODE.search(step)
            assert first and step.partition(". ")[2].startswith(first[0])
            assert FILE.fullmatch(first[1]) or FOLDER.fullmatch(first[1])


def test_what_a_step_names_is_in_its_files() -> None:
    for steps in recipes().values():
        for step in steps:
            words = CODE.findall(step)
            files = [ROOT / word for word in words if FILE.fullmatch(word) and not PLACEHOLDER.search(word)]
            if PLACEHOLDER.search(words[0]):
                continue  # its first file is yet to be written
            text = "".join(path.read_text(encoding="utf-8") for path in files)
            names = [
                word.rpartition(".")[2]
                for word in words
                if re.fullmatch(r"[\w.]*\w", word) and not FILE.fullmatch(word)
            ]
            assert [name for name in names if not re.search(rf"\b{name}\b", text)] == [], step


def test_the_limits_of_size_are_those_that_are_checked() -> None:
    words = r"Files have up to (\d+) lines, functions up to (\d+), classes up to (\d+) public\s+methods"
    said = re.search(words, prose(ROOT / "CONTRIBUTING.md"))
    assert said and [int(n) for n in said.groups()] == [MAX_LINES, MAX_LINES_OF_A_FUNCTION, MAX_METHODS]


def test_the_order_of_layers_is_the_one_that_is_checked() -> None:
    layers = [names for names in LAYERS if names not in (("__main__",), (PACKAGE,), GROUND)]
    words = [names[0] if len(names) == 1 else "{" + ", ".join(names) + "}" for names in layers]
    assert " > ".join([*words, "the files beside them"]) in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_the_listing_of_folders_has_each_folder_and_each_file_beside_them() -> None:
    listing = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("```\ncrawler/\n")[2].partition("```")[0]
    folders = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert set(re.findall(r"^  (\w+)/ ", listing, re.MULTILINE)) == folders
    assert set(re.findall(r"(\w+)\.py", listing)) == {*GROUND}


def test_the_page_of_the_frontier_has_each_verb_once() -> None:
    rows = VERB_ROW.findall(prose(ROOT / "docs" / "frontier.md"))
    verbs = [path.stem for path in (ROOT / PACKAGE / "frontier" / "lua").glob("*.lua")]
    assert sorted(re.findall(r"\w+", " ".join(rows))) == sorted(verbs)


def test_the_architecture_can_be_read_in_ten_minutes() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split()) <= 1500
