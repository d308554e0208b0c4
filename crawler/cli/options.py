"""Command-line options made from the table of settings, so that help and defaults always match it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import click

from crawler.cli.terminal import line
from crawler.config import Loaded, load
from crawler.logs import open_log
from crawler.settings import TABLE, Kind, Settings, format_value, parse, parse_values
from crawler.text import option_name, printable

F = TypeVar("F", bound=Callable[..., Any])

OF_REDIS: Final = ("redis", "wait", "crawl", "folder", "plain", "log_file", "verbose")
"""Settings of every command that connects to Redis."""
OF_CRAWL: Final = tuple(name for name, meta in TABLE.items() if meta.kind is not Kind.PROCESS and not meta.of_check)
"""Settings that are stored with the crawl, but for those of `crawler check` alone."""
DEMO_DELAY: Final = 0.1
"""Seconds between requests of `crawler demo` to one host, unless --delay is given: it is our own server."""
_DEFAULTS: Final = Settings()
_SHORT: Final = {"workers": ("-n",), "verbose": ("-v",)}


def settings(*names: str, **defaults: Any) -> Callable[[F], F]:
    """Options for the settings *names*, made from the table in settings.py; *defaults* are a command's own."""

    def decorate(command: F) -> F:
        for name in reversed((*names, *defaults)):
            command = _option(name, defaults.get(name, getattr(_DEFAULTS, name)))(command)
        return command

    return decorate


def _option(name: str, default: Any) -> Callable[[F], F]:
    meta = TABLE[name]
    shown = "" if meta.switch or default in (None, ()) else f"  [default: {format_value(name, default)}]"
    text = (f"{'|'.join(meta.choices)}: " if meta.choices else "") + meta.help + shown
    flags = (*_SHORT.get(name, ()), f"--{option_name(name)}", name)
    if meta.switch:
        return click.option(*flags, is_flag=True, default=None, help=text)
    return click.option(*flags, metavar=meta.unit or "NAME", multiple=meta.many, default=None, help=text)


def load_given(given: dict[str, Any]) -> Loaded:
    """A command's settings from the values of its options; options that were not given are None or empty."""
    flags: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == ():
            continue
        if TABLE[name].many:
            flags[name] = parse_values(name, value)
        else:
            flags[name] = value if isinstance(value, bool) else parse(name, value)
    loaded = load(flags)
    if loaded.file is not None:
        with suppress(OSError):  # nobody may be there to read it
            click.echo(printable(f"crawler: settings are read from {loaded.file}"), err=True)
    line.plain |= loaded.settings.plain
    open_log(loaded.settings.log_file, loaded.settings.verbose, "command", plain=line.plain)
    return loaded


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {example}" for example in lines)
