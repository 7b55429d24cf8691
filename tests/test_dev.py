"""The one script: what it says when it cannot set up, and that it starts nothing of the system's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("bash", "dirname", "readlink", "mkdir", "date", "awk", "sha256sum", "cut", "cat", "env")


def _tools(folder: Path, **scripts: str) -> Path:
    """A PATH of its own: the tools that ./dev needs, and stand-ins for the system's answers."""
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        path.chmod(0o755)
    return folder


def _dev(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": str(path)}
    return subprocess.run(
        [str(ROOT / "dev"), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_missing_packages_without_root_are_named_with_the_command_to_run(tmp_path: Path) -> None:
    """Who is not root and has no sudo learns which packages to ask for, and gets exit code 2."""
    path = _tools(tmp_path / "bin", dpkg_query="exit 1", id="echo 1000")
    done = _dev(path, "setup")
    assert done.returncode == 2
    assert "apt-get install --no-install-recommends" in done.stderr
    assert "libldap-dev" in done.stderr


def test_an_unknown_command_shows_the_usage(tmp_path: Path) -> None:
    """A misspelt command is exit code 2 and the list of commands."""
    done = _dev(_tools(tmp_path / "bin"), "dmeo")
    assert done.returncode == 2
    assert "./dev demo" in done.stderr
    assert "unknown command 'dmeo'" in done.stderr


def test_no_system_service_is_started_or_replaced() -> None:
    """Packages that would bring a service are unpacked below .pli, never installed; installs run behind policy-rc.d."""
    text = (ROOT / "dev").read_text(encoding="utf-8")
    installed = text.partition("PACKAGES=(")[2].partition(")")[0].split()
    assert not {"slapd", "dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "postfix", "exim4"} & set(installed)
    assert "policy-rc.d" in text
    assert "systemctl" not in text
