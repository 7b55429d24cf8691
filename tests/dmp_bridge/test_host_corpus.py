"""The dossier host before the messages of the corpus: each has the answer that it should have."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from certs.xml import parse
from dmp_bridge.host import names
from dmp_bridge.host.registry import Registry
from tests.dmp_bridge.asking import answer, ask, outcome, submission

PROVIDED = {
    "pnr.xml": "Success",
    "pnr-bad-uplink.xml": "XDSRegistryMetadataError",
    "pnr-element-order.xml": "XDSRegistryMetadataError",
    "pnr-limited.xml": "XDSRegistryMetadataError",
    "pnr-assoc-to-self.xml": "UnresolvedReferenceException,XDSRegistryMetadataError",
}
ENVELOPES = {
    # No document comes with these: their metadata is good, or its order is not.
    "soap-pnr.xml": "XDSMissingDocument",
    "soap-pnr-element-order.xml": "XDSMissingDocument,XDSRegistryMetadataError",
    "soap-pnr-soap-order.xml": "fault Sender",
    "soap-noaction-pnr.xml": "fault Sender",
    "soap-ret-req.xml": "XDSUnknownRepositoryId",
    "soap-ret-req-order.xml": "XDSRepositoryError",
    "soap-sq-req.xml": "Success",
    "soap-xcq-req.xml": "fault Sender",
    "soap-xcr-req.xml": "fault Sender",
    "empty-soap-wrapper.xml": "fault Sender",
    "xml-parse-error.xml": "fault Sender",
    "soap-pnr-resp.xml": "fault Sender",
    "soap-ret-resp.xml": "fault Sender",
    "soap-r-resp.xml": "fault Sender",
    "soap-xret-resp.xml": "fault Sender",
    "soap-xcq-resp.xml": "fault Sender",
    "pnr-log.xml": "fault Sender",
    "sq-log.xml": "fault Sender",
}
QUERIES = {
    "sq-req.xml": "Success",
    "sq-req-bad-code.xml": "XDSRegistryError",
    "sq-req-bad-pid-format.xml": "XDSRegistryError",
    "sq-req-bad-stat-format1.xml": "XDSRegistryError",
    "sq-req-bad-stat-format2.xml": "XDSRegistryError",
    "sq-req-missing-stat.xml": "XDSStoredQueryMissingParam",
}


@pytest.mark.corpus
@pytest.mark.parametrize("name", PROVIDED)
def test_submissions_of_the_corpus(registry: Registry, corpus: Path, name: str) -> None:
    """Each submission of the corpus, its documents beside it, is taken or refused as it should be."""
    reply = ask(registry, "repository", names.PROVIDE, submission(corpus, name), b"one", b"two")
    assert outcome(reply) == PROVIDED[name]


@pytest.mark.corpus
@pytest.mark.parametrize("name", ENVELOPES)
def test_envelopes_of_the_corpus(registry: Registry, corpus: Path, name: str) -> None:
    """Each envelope of the corpus, sent as it is, has the answer or the fault that it should have."""
    data = (corpus / "xds/messages" / name).read_bytes()
    service = "registry" if "sq" in name or "xcq" in name else "repository"
    assert outcome(answer(registry, service, "application/soap+xml", data)) == ENVELOPES[name]


@pytest.mark.corpus
@pytest.mark.parametrize("name", QUERIES)
def test_queries_of_the_corpus(registry: Registry, corpus: Path, name: str) -> None:
    """Each stored query of the corpus is answered or refused by the error code that names its fault."""
    query = parse((corpus / "xds/messages" / name).read_bytes())
    assert outcome(ask(registry, "registry", names.STORED_QUERY, query)) == QUERIES[name]


def http_sample(corpus: Path, name: str) -> tuple[str, bytes]:
    head, _, body = (corpus / "xds/messages" / name).read_bytes().partition(b"\n\n")
    kind = next(line for line in head.decode().splitlines() if line.startswith("Content-Type"))
    return kind.partition(":")[2].strip(), body


@pytest.mark.corpus
def test_the_mtom_message_of_the_corpus_is_stored_byte_by_byte(registry: Registry, corpus: Path) -> None:
    """A foreign MTOM message, with LF line ends and trailing blanks, is stored, its document unchanged."""
    kind, data = http_sample(corpus, "http-mtom-pnr.txt")
    assert outcome(answer(registry, "repository", kind, data)) == "Success"
    document = data.split(b"org> \n\n")[-1].partition(b"\n--MIMEBoundary")[0]
    with sqlite3.connect(registry.engine.url.database or "") as held:
        row = held.execute("SELECT file, sha1, size FROM entries").fetchone()
    assert registry.contents.read(row[0]) == document
    assert row[1:] == (hashlib.sha1(document, usedforsecurity=False).hexdigest(), len(document))


@pytest.mark.corpus
def test_xml_that_is_not_soap_is_refused(registry: Registry, corpus: Path) -> None:
    """The same message as plain application/xml, naming a part that it does not carry, is a fault."""
    kind, data = http_sample(corpus, "http-simple.txt")
    assert outcome(answer(registry, "repository", kind, data)) == "fault Sender"
    assert outcome(answer(registry, "repository", "application/soap+xml", data)) == "fault Sender"


READ_BY_THE_CLIENT = {
    "regresp-fail-noerr.xml", "regresp-suc-err.xml", "soap-pnr-resp.xml", "soap-r-resp.xml", "sq-resp-lc.xml",
    "sq-resp-objectref.xml", "sq-resp-lc-no-objectType.xml", "sq-resp-lc-no-status.xml", "soap-ret-resp.xml",
    "sq-resp-nostat-objectref.xml", "soap-xret-resp-error.xml", "soap-xret-resp-homeless.xml",
    "soap-xcq-resp-error.xml",
}  # fmt: skip
"""Answers of the corpus: test_dmp.py says what each means."""
HTTP = {"http-mtom-pnr.txt", "http-simple.txt"}


@pytest.mark.corpus
def test_no_message_of_the_corpus_is_left_out(corpus: Path) -> None:
    """Each is put to the host above, or read by the client as an answer."""
    there = {path.name for path in (corpus / "xds/messages").iterdir()}
    assert there == {*PROVIDED, *ENVELOPES, *QUERIES, *READ_BY_THE_CLIENT, *HTTP}
