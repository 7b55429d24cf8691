"""What a command says beside its answer: on standard error, so that what is read by a program stays readable."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SPEAKS = """
import click, structlog
from gateway.cli import pli

@pli.command("speak")
def speak():
    log = structlog.get_logger("test")
    log.info("well")
    log.warning("heard", patient="2 79 03 51 215 189 89", address="279035121518989@patient.mssante.fr")
    click.echo('{"answer": 1}')

pli(["speak"])
"""


def test_an_answer_is_alone_on_standard_output(tmp_path: Path) -> None:
    """A warning of any part goes to the other one, as a line of JSON without an identity; what is well is not told."""
    done = subprocess.run([sys.executable, "-c", SPEAKS], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == {"answer": 1}
    (line,) = [json.loads(each) for each in done.stderr.splitlines()]
    assert (line["event"], line["level"], line["process"]) == ("heard", "warning", "command")
    assert "2790351" not in done.stderr.replace(" ", "")
    assert line["patient"].startswith("p:")
    assert line["address"].endswith("@patient.mssante.fr")
