"""Each format survives fifty SIGKILLs at random moments: readable after each, each record once in the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import ROOT

OUTPUTS = (
    *("a.sqlite", "parts/ jsonl", "parts/ jsonl.gz", "parts/ csv.zst", "p.parquet/", "docs/ markdown"),
    *("a.jsonl", "a.csv.gz", "a.jsonl.zst", "site.md"),
)
KILLS = 50


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_an_export_is_killed_at_random_moments(redis_url: str, output: str, tmp_path: Path) -> None:
    name, _, form = output.partition(" ")
    command = [sys.executable, "-m", "tests.export.killed", redis_url, name, form, str(KILLS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["killed"] == KILLS
