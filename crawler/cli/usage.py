"""Mistakes of a command line in words, and how to write the command that continues."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any, Final

import click
from click.core import ParameterSource

from crawler import headers
from crawler.cli.options import OF_CRAWL
from crawler.config import Loaded
from crawler.errors import UsageError
from crawler.settings import ENV_PREFIX, FILE, TABLE
from crawler.text import guess

_FLAGS: Final = {"help": "--help", "version": "--version"}
"""Words that other programs take as commands."""
_OF_OTHERS: Final = {"accept": "include", "reject": "exclude", "rate": "delay", "threads": "workers"}
"""Names that other programs have for our options."""


def click_message(error: click.ClickException) -> str:
    """*error* as one line, with a guess where a name is misspelt. Click's own guesses are too far off to help."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "crawler"
    if context is None or not (isinstance(error, click.NoSuchOption) or error.message.startswith("No such command")):
        return f"{error.format_message()} See `{path} --help`."
    if isinstance(error, click.NoSuchOption):
        known, name = _options(context), error.option_name.strip("-")
        found = _OF_OTHERS.get(name, "")
        found = found if found in known else guess(name, known)
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


_OF_ONE_RUN: Final = ("add", "fresh", "yes", "sitemaps")
"""Options of a command that is not repeated by the one that continues: they are done, or stored in the crawl."""
_TO_EXPORT: Final = ("output", "form", "crawl", "redis", "folder")


def command_to_continue(loaded: Loaded, *, names_sources: bool = False) -> str:
    """The command that continues the one that runs, with each of its options that the crawl does not store.

    *names_sources*: it finds its crawl by them. A header for the hosts of the SOURCEs needs them again. Values that may
    be secrets come from the environment: the shell refuses the command where they are not set.
    """
    context = click.get_current_context()
    names = [p.name for p in context.command.params if p.name and p.name not in (*OF_CRAWL, *_OF_ONE_RUN, "sources")]
    again = _written(f"crawler {context.info_name}", names, loaded)
    if names_sources or any(headers.parse(line).needs_host for line in loaded.settings.header):
        again += "".join(f" {shlex.quote(source)}" for source in context.params.get("sources", ()) if source != "-")
    return again


def how_to_continue(loaded: Loaded, *, names_sources: bool = False) -> str:
    """What an interrupted command says about the one that continues it (see `command_to_continue`)."""
    again = command_to_continue(loaded, names_sources=names_sources)
    secrets = "" if again.startswith("crawler ") else "set the variables that are not shown here, then "
    return f"{secrets}continue with `{again}`"


def command_to_export(loaded: Loaded) -> str:
    """The command that writes what is stored, in the way that the one that runs asked for."""
    command = _written("crawler export", _TO_EXPORT, loaded)
    return command if click.get_current_context().params["output"] else f"{command} -o FILE"


def _written(command: str, names: Iterable[str], loaded: Loaded) -> str:
    context = click.get_current_context()
    variables, words = [], [command]
    params = {param.name: param for param in context.command.params}
    for name in names:
        if name in TABLE and name in loaded.named and _is_secret(name, getattr(loaded.settings, name)):
            if loaded.decided[name] != FILE:
                variables.append('{0}="${{{0}:?}}"'.format(ENV_PREFIX + name.upper()))
        elif context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            value, flag = context.params[name], params[name].opts[0]
            values = value if isinstance(value, tuple) else (value,)
            words += [flag if one is True else f"{flag} {shlex.quote(one)}" for one in values]
    return " ".join([*variables, *words])


def _is_secret(name: str, value: Any) -> bool:
    if name == "header":
        return any(headers.parse(line).name.lower() not in headers.HARMLESS for line in value)
    return TABLE[name].secret and ("@" in (value or "") or "password=" in (value or ""))
