"""The settings of a command: flag > environment > crawler.toml > default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crawler import owners
from crawler.errors import UsageError
from crawler.settings import ENV_PREFIX, FILE, TABLE, Settings, parse, parse_values
from crawler.text import did_you_mean, option_name


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, file: Path = Path(FILE)) -> Loaded:
    """The settings of a command. *flags* holds the parsed values given on its command line."""
    found, of_file = _from_file(file)
    of_environ = _from_environ(environ)
    named = of_file | of_environ | dict(flags)
    decided = dict.fromkeys(of_file, FILE) | {name: _variable(name, of_file) for name in of_environ}
    settings = replace(Settings(), **named)
    settings = replace(settings, hook=None) if settings.no_hook else settings
    return Loaded(settings, frozenset(named), found, decided | dict.fromkeys(flags, ""))


def _variable(setting: str, of_file: Collection[str]) -> str:
    """What a message calls the variable that decided *setting*."""
    return f"{ENV_PREFIX}{setting.upper()}" + (f", not {FILE}" if setting in of_file else "")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and the names of those that the user gave (stored values replace the others, which are defaults)."""

    settings: Settings
    named: frozenset[str]
    file: Path | None = None
    """The `crawler.toml` that was read."""
    decided: Mapping[str, str] = field(default_factory=dict)
    """What decided each of them, as a message names it: a variable, the file, or nothing for the command line."""


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for setting, meta in TABLE.items():
        text = environ.get(ENV_PREFIX + setting.upper())
        if text:  # an empty one counts as not set: compose files and shells leave a variable out that way
            lines = (line for line in text.splitlines() if line.strip())
            found[setting] = parse_values(setting, lines) if meta.many else parse(setting, text)
    return found


def _from_file(file: Path) -> tuple[Path | None, dict[str, Any]]:
    """The path of the file, if it exists, and its settings."""
    try:
        values = tomllib.loads(owners.read(file).decode("utf-8"))
    except FileNotFoundError:
        return None, {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{file}: cannot be read: {why}") from None
    found = {}
    for key, value in values.items():
        setting = key.replace("-", "_")
        if isinstance(value, dict):
            raise UsageError(f"{file}: [{key}]: settings stand without tables: delete this line, keep those below it")
        if setting not in TABLE:
            known = [option_name(name) for name in TABLE]
            guessed = did_you_mean(key, known, "`crawler run --help` lists them")
            raise UsageError(f"{file}: {key!r} is no setting: {guessed}")
        found[setting] = _from_toml(file, setting, value)
    return file.absolute(), found


def _from_toml(file: Path, setting: str, value: Any) -> Any:
    many = TABLE[setting].many
    items = value if many and isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) for item in items):
        name = option_name(setting)
        raise UsageError(f"{file}: {name}: {'a list of values' if many else 'one value'} is needed")
    try:
        return parse_values(setting, map(str, items)) if many else parse(setting, str(value))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
