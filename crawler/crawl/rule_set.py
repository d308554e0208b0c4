"""Reads the file of extraction rules that `--rules` names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crawler.errors import UsageError
from crawler.parse.rules_file import read_rules
from crawler.rule_names import MAX_RULE_SET
from crawler.settings import Settings


def read_rule_file(path: str) -> str:
    """The text of a file of rules. UsageError says why it cannot be read, or what is wrong in it, and where."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(4 * MAX_RULE_SET + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--rules {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--rules {path}: it is not text in UTF-8") from None
    text = text.replace("\r\n", "\n")
    read_rules(text, path)
    return text


def with_rules(settings: Settings) -> Settings:
    """*settings* with the rules of the file that they name, if they name one."""
    return settings if settings.rules is None else replace(settings, rule_set=read_rule_file(settings.rules))
