"""Mistakes of a command line in words, and how to write the command that continues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click

from crawler.errors import UsageError
from crawler.text import guess

_FLAGS: Final = {"help": "--help", "version": "--version"}
"""Words that other programs take as commands."""


def click_message(error: click.ClickException) -> str:
    """*error* as one line, with a guess where a name is misspelt. Click's own guesses are too far off to help."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "crawler"
    if context is None or not (isinstance(error, click.NoSuchOption) or error.message.startswith("No such command")):
        return f"{error.format_message()} See `{path} --help`."
    if isinstance(error, click.NoSuchOption):
        found = guess(error.option_name, _options(context))
        return _unknown(error.message, f"{path} --{found}" if found else "", path)
    name = error.message.split("'")[1]
    found = _FLAGS.get(name) or guess(name, getattr(context.command, "commands", ()))
    return _unknown(error.message, f"{path} {found}" if found else "", path)


def _options(context: click.Context) -> Iterable[str]:
    flags = [flag for param in context.command.get_params(context) for flag in param.opts]
    return [flag.removeprefix("--") for flag in flags if flag.startswith("--")]


def _unknown(message: str, meant: str, path: str) -> str:
    meant = f"Did you mean `{meant}`? " if meant else ""
    return f"{message} {meant}See `{path} --help`."


def once(context: click.Context, param: click.Parameter, values: tuple[Any, ...]) -> Any:
    """Callback of an option that may be given once: the last one would silently win."""
    if len(values) > 1:
        raise UsageError(f"{param.opts[-1]} is given {len(values)} times, and a command writes one file: give it once")
    return values[0] if values else None
