"""The GitHub action and the pre-commit hook are what their schemas ask for, and run `crawler check` as documented."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
SCHEMA = ROOT / "tests" / "data" / "schemas" / "github-action.json"


def test_the_action_fits_its_schema_and_uses_no_other_action() -> None:
    jsonschema.validate(ACTION, json.loads(SCHEMA.read_text()))
    assert all("run" in step and "uses" not in step for step in ACTION["runs"]["steps"])
    assert set(ACTION["inputs"]) == {"source", "args", "fail-on", "sarif", "html", "python"}


def test_no_input_becomes_part_of_a_script() -> None:
    """A source such as `$(id)` must stay a word: inputs reach the scripts by their environment alone."""
    assert not any("${{" in step["run"] for step in ACTION["runs"]["steps"])


def check(tmp_path: Path, code: int = 0, **inputs: str) -> tuple[int, list[str], str]:
    """Run the step `check` with a command that notes its arguments; exit code, arguments, outputs."""
    command = tmp_path / "crawler" / "bin" / "crawler"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\nexit {code}\n')
    command.chmod(0o755)
    step = ACTION["runs"]["steps"][1]
    outputs = tmp_path / "outputs"
    environ = {"PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(outputs)}
    names = {"SOURCE": "source", "ARGS": "args", "FAIL_ON": "fail-on", "SARIF": "sarif", "HTML": "html"}
    for variable, name in names.items():
        assert step["env"][variable] == f"${{{{ inputs.{name} }}}}"
        environ[variable] = inputs.get(name.replace("-", "_"), ACTION["inputs"][name].get("default", ""))
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(shell, env=environ, cwd=tmp_path, check=False, capture_output=True, text=True)
    return done.returncode, (tmp_path / "words").read_text().splitlines(), outputs.read_text()


def test_the_action_passes_its_inputs_as_words(tmp_path: Path) -> None:
    args = "--no-external  --ignore 'broken:*/old/*' --only \"a b\""
    code, words, outputs = check(tmp_path, source="./public $(id)", args=args, sarif="a b.sarif", html="c.html")
    assert words == [
        *("check", "--format", "github", "--fail-on", "error", "-o", "a b.sarif", "-o", "c.html"),
        *("--no-external", "--ignore", "broken:*/old/*", "--only", "a b", "--", "./public $(id)"),
    ]
    assert (code, outputs) == (0, "exit-code=0\n")


def test_the_action_ends_as_the_command_does(tmp_path: Path) -> None:
    code, words, outputs = check(tmp_path, code=1, source="https://example.org")
    assert (code, outputs) == (1, "exit-code=1\n")
    assert words[-2:] == ["--", "https://example.org"]


@pytest.mark.parametrize("key", ["id", "name", "description", "entry", "language", "args", "pass_filenames"])
def test_the_hook_has_what_pre_commit_needs(key: str) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert key in hook
    assert hook["entry"].split()[:2] == ["crawler", "check"]
    assert hook["pass_filenames"] is False
