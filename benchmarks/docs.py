"""The two real sites: the HTML of Debian's packages of the PostgreSQL and the Python documentation.

They are fetched by apt, without being installed, and unpacked into `benchmarks/.cache`; any other folder does as well:
`--folder NAME=PATH`. `python -m benchmarks.docs` fetches them and says how many files there are.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.site import SiteError

CACHE: Final = Path(__file__).parent / ".cache"


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package, and where in it the site is."""

    name: str
    folder: str


PACKAGES: Final = {
    "postgresql": Package("postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html"),
    "python": Package("python3.11-doc", "usr/share/doc/python3.11/html"),
}
"""Debian 12; on another release name folders."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The option that every script here has."""
    parser.add_argument(
        "--folder",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="serve this folder instead of Debian's documentation packages; may be repeated",
    )


def folders(given: Sequence[str]) -> dict[str, Path]:
    """The folders to serve, by name: those *given* as NAME=PATH, else the packages, fetched where they are missing.

    Raises SiteError.
    """
    if not given:
        return {name: fetched(package) for name, package in PACKAGES.items()}
    found = {}
    for item in given:
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise SiteError(f"--folder {item}: NAME=PATH is needed")
        found[name] = Path(path)
    return found


def fetched(package: Package) -> Path:
    """Where the package is unpacked; it is fetched if it is missing. Raises SiteError."""
    folder = CACHE / package.name / package.folder
    if not folder.is_dir():
        _fetch(package)
    return folder


def _fetch(package: Package) -> None:
    """Download and unpack a package; what is unpacked appears at once or not at all."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SiteError(f"{package.name} can only be fetched on Debian: name sites of your own by --folder NAME=PATH")
    print(f"fetching {package.name} ...", file=sys.stderr)
    part = CACHE / f"{package.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _run(["apt-get", "--quiet", "download", package.name], part, package)
    (archive,) = part.glob("*.deb")
    _run(["dpkg-deb", "-x", archive.name, "."], part, package)
    archive.unlink()
    shutil.rmtree(CACHE / package.name, ignore_errors=True)
    part.rename(CACHE / package.name)


def _run(command: list[str], folder: Path, package: Package) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SiteError(
            f"{package.name} cannot be had here ({last}): run apt-get update, or name sites by --folder NAME=PATH"
        )


def main() -> int:
    """Fetch the sites and count their files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.docs", description=main.__doc__)
    add_options(parser)
    try:
        for name, folder in folders(parser.parse_args().folder).items():
            print(f"{name}: {sum(1 for path in folder.rglob('*') if path.is_file()):,} files")
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
