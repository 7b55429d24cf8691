"""There is one address parser, one MIME scanner, one zip door and one XML door, and nothing that runs what it reads."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay import spool
from relay.model import Event, Letter, Recipient

ROOT = Path(__file__).resolve().parents[2]
SERVING = ("certs", "directory", "relay", "dmp_bridge", "gateway")
OFF_THE_PATH = ("gateway/demo/", "dmp_bridge/host/", "certs/throwaway.py", "certs/specimens.py")


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Each file of the serving path with its syntax tree."""
    for package in SERVING:
        for file in sorted((ROOT / package).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith(OFF_THE_PATH):
                yield name, ast.parse(file.read_text())


def users(*names: str) -> set[str]:
    """The files that name one of these functions, classes or modules."""
    return {file for file, tree in trees() for node in ast.walk(tree) if set(_named(node)) & set(names)}


def _named(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.ImportFrom(module=module, names=names):
            bare = () if (module or "").split(".")[0] in SERVING else tuple(each.name for each in names)
            return (module or "", *(f"{module}.{each.name}" for each in names), *bare)
        case ast.Import(names=names):
            return tuple(each.name for each in names)
        case ast.Attribute(value=ast.Name(id=owner), attr=attr):
            return (f"{owner}.{attr}", attr)
        case ast.Call(func=ast.Name(id=name)):
            return (name,)
    return ()


XML = {"certs/xml.py", "dmp_bridge/schemas.py", "dmp_bridge/schematron.py"}


HOSTS = {
    "dmp_bridge/dmp.py",
    "dmp_bridge/insi.py",
    "directory/fhir.py",
    "directory/patching.py",
    "gateway/openid.py",
    "gateway/tokens.py",
}


@pytest.mark.parametrize(
    ("names", "where"),
    [
        (("parseaddr", "getaddresses", "AddressHeader", "HeaderRegistry"), set()),
        (("email.headerregistry",), {"dmp_bridge/packing.py"}),  # to write an address, never to read one
        (("message_from_bytes", "message_from_string", "BytesParser", "BytesFeedParser"), set()),
        (("zipfile",), {"dmp_bridge/archive.py", "dmp_bridge/xdm.py"}),
        # Beside the door: schemas that an operator installed, and what was parsed by the door before.
        (("fromstring", "XMLParser", "etree.parse", "iterparse", "xml.etree", "xml.dom", "xml.sax"), XML),
        (("HTMLParser", "etree.HTML", "lxml.html", "html.parser"), {"dmp_bridge/mail_html.py"}),
        (("extractall", "tarfile", "shutil.unpack_archive"), set()),
        (("eval", "exec", "pickle", "marshal", "shelve", "yaml", "os.system", "subprocess.getoutput"), set()),
        (
            ("subprocess",),
            {"dmp_bridge/workshop.py", "gateway/backup.py", "gateway/install/founding.py", "gateway/loading.py"},
        ),
        # Not `requests` alone: certificate requests are called so
        (("urllib.request", "requests.get", "requests.post", "requests.Session", "ftplib"), set()),
        (("http.client",), {"certs/fetch.py"}),  # addresses in certificates: within its walls only
        # Hosts that the operator configured.
        (("httpx",), HOSTS),
    ],
)
def test_only_its_door_uses_it(names: tuple[str, ...], where: set[str]) -> None:
    """CVE-2023-27043, CVE-2026-27444, zip slip, XXE, eval: what is dangerous has one place, or none."""
    assert users(*names) <= where


def test_the_search_finds_what_is_there() -> None:
    """The twin: a door that is known to be used is found."""
    assert users("zipfile") >= {"dmp_bridge/archive.py"}
    assert users("subprocess") >= {"dmp_bridge/workshop.py"}


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", "L1' UNION SELECT 1 --", "\0", "*", "L_"])
def test_a_search_in_custody_widens_to_nothing(
    store: Any, make_letter: Callable[..., tuple[Letter, tuple[Recipient, ...]]], text: str
) -> None:
    """Dovecot CVE-2026-24031: values are bound, never written into a statement; a pattern is only a value."""
    letter, rows = make_letter("L1")
    spool.keep(store.client, letter, rows, [Event("accepted", "L1")])
    for key in ("id", "sender", "recipient", "message_id"):
        assert spool.find(store.reader, "lilas", **{key: text}) == []
    assert [each.id for each in spool.find(store.reader, "lilas", id="L1")] == ["L1"]
