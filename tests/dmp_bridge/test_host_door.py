"""The dossier host's door: who is let in, over real TLS; and that the host imports nothing of the client's."""

from __future__ import annotations

import ast
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from certs.chain import TrustStore
from certs.tls import client_side
from certs.xml import parse
from dmp_bridge import ebrim, soap
from dmp_bridge.host import names, services
from dmp_bridge.host.contents import Contents
from dmp_bridge.host.registry import Registry, Wrong
from dmp_bridge.host.tables import open_store
from dmp_bridge.model import Document
from relay.model import Done

SHARED = {"dmp_bridge.soap", "dmp_bridge.mtom"}


def test_the_host_shares_only_soap_with_the_client() -> None:
    """Of the bridge, the host imports its own modules and soap.py; of the other floors, certs alone."""
    folder = Path(services.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                package = module.partition(".")[0]
                assert package not in {"relay", "directory", "gateway"}, path.name
                if package == "dmp_bridge":
                    assert module in SHARED or module.startswith("dmp_bridge.host"), path.name


def client(trust: TrustStore, credentials: tuple[Path, Path]) -> httpx.Client:
    return httpx.Client(verify=client_side(*credentials, trust, check_hostname=True), trust_env=False)


@pytest.mark.corpus
def test_a_listed_client_is_served_over_tls(dossier_host: Callable[..., str], site: Any, corpus: Path) -> None:
    """With a client certificate of ours the host answers a stored query."""
    query = parse((corpus / "xds/messages/sq-req.xml").read_bytes())
    kind, data = soap.encode(names.STORED_QUERY, query)
    with client(site.trust(), site.client) as http:
        reply = http.post(f"{dossier_host()}/registry", content=data, headers={"Content-Type": kind})
    assert reply.status_code == 200
    body = soap.decode(reply.headers["content-type"], reply.content).body
    assert body is not None
    assert body.get("status") == names.SUCCESS


def test_a_client_of_another_authority_is_not_let_in(dossier_host: Callable[..., str], site: Any) -> None:
    """A certificate of an authority that the host does not know ends the session."""
    with client(site.trust(), site.stranger) as http, pytest.raises((httpx.HTTPError, ssl.SSLError)):
        http.post(f"{dossier_host()}/registry", content=b"")


def test_a_client_without_certificate_is_not_let_in(dossier_host: Callable[..., str], site: Any) -> None:
    """Without a certificate there is no session."""
    context = ssl.create_default_context(cadata=site.trust().anchors_pem())
    refused = pytest.raises((httpx.HTTPError, ssl.SSLError))
    with httpx.Client(verify=context, trust_env=False) as http, refused:
        http.post(f"{dossier_host()}/registry", content=b"")


def test_a_revoked_client_is_refused_in_words(dossier_host: Callable[..., str], site: Any) -> None:
    """A revoked certificate gets 403 and a fault, nothing else."""
    with client(site.trust(), site.revoked) as http:
        reply = http.post(f"{dossier_host()}/registry", content=b"<x/>")
    assert reply.status_code == 403
    assert soap.decode(reply.headers["content-type"], reply.content).fault is not None


def test_a_server_certificate_may_not_act_as_a_client(dossier_host: Callable[..., str], site: Any) -> None:
    """A certificate that is not for TLS clients is refused, although its chain is good."""
    with client(site.trust(), site.mailbox) as http, pytest.raises((httpx.HTTPError, ssl.SSLError)):
        http.post(f"{dossier_host()}/registry", content=b"")


def test_it_starts_as_a_process_and_tells_where(site: Any, tmp_path: Path) -> None:
    """The command serves on a free port, says so in one line, and SIGTERM ends it."""
    with _process(tmp_path, site, "--wrong", Wrong.WRONG_HASH.value) as (process, url):
        assert url.startswith("https://127.0.0.1:")
    assert process.returncode in (0, -signal.SIGTERM)


@contextmanager
def _process(folder: Path, site: Any, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A host in a process of its own, and its URL; told to end when it is done with."""
    command = [sys.executable, "-m", "dmp_bridge.host", "--folder", str(folder / "host"), "--port", "0", *options]
    command += ["--cert", str(site.host[0]), "--key", str(site.host[1]), "--trust", str(site.trust_folder)]
    command += ["--repository-id", "2.25.7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("dossier host ready on ")
        yield process, line.removeprefix("dossier host ready on ")
        process.terminate()


def test_the_query_of_the_manual_is_answered(dossier_host: Callable[..., str], site: Any) -> None:
    """curl, with the text that docs/dossier-host.md prints, gets the answer of a registry."""
    manual = (Path(__file__).parents[2] / "docs" / "dossier-host.md").read_text()
    query = manual.partition("```xml\n")[2].partition("```")[0]
    command = ["curl", "--silent", "--show-error", "--cacert", str(anchor(site)), "--data-binary", "@-"]
    command += ["--cert", str(site.client[0]), "--key", str(site.client[1])]
    command += ["--header", "Content-Type: application/soap+xml; charset=UTF-8", f"{dossier_host()}/registry"]
    done = subprocess.run(command, input=query.encode(), stdout=subprocess.PIPE, check=True)
    body = soap.decode("application/soap+xml", done.stdout).body
    assert body is not None
    assert body.get("status") == names.SUCCESS


def anchor(site: Any) -> Path:
    found: Path = next((site.trust_folder / "anchors").glob("*.pem"))
    return found


def test_a_crash_between_files_and_rows_leaves_no_file(tmp_path: Path) -> None:
    """A file that no row tells of is removed when the host starts again."""
    contents = Contents(tmp_path / "documents")
    contents.batch().take(b"orphan")
    Registry(open_store(tmp_path / "d.db"), contents, "2.25.7", lambda: datetime.now(UTC))
    assert list((tmp_path / "documents").iterdir()) == []


def test_25_megabytes_are_filed_in_a_few(
    tmp_path: Path, site: Any, bridge: Any, report: Document, lot: ebrim.Submission
) -> None:
    """To a host in a process of its own, over mutual TLS: found and fetched with equal hash, and while it stored the
    host grew by less than half of the document."""
    large = replace(report, raw=report.raw + b"<!--" + b"x" * 25_000_000 + b"-->")
    with _process(tmp_path, site) as (host, url):
        client = bridge.client(url)
        assert client.find([large.unique_id]) == ()
        before = _peak_kb(host.pid)
        assert isinstance(client.submit([large], lot, report.patient.ins), Done)
        grown = _peak_kb(host.pid) - before
        (held,) = client.find([large.unique_id])
        assert (held.sha1, held.size) == (ebrim.sha1(large.raw), len(large.raw))
        assert client.fetch(large.unique_id) == large.raw
    assert grown < 12_500


def _peak_kb(pid: int) -> int:
    told = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in told.splitlines() if line.startswith("VmHWM")))
