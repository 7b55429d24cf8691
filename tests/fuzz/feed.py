"""The doors of the directory's feed: FINESS in JSON, LDIF, a table of one's own, a national archive read as a stream.

Promises: rows are what another reader of the same bytes finds (json, python-ldap's ldif, zipfile), however the bytes
come in; what is refused is refused by a word and quotes nothing. Does not: plan, nor write a file anywhere.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ldif

from directory.feed import finess, ldif_records, sources
from directory.feed.items import Source
from directory.feed.lines import FeedError, Rejected, Row
from dmp_bridge import archive
from tests.fuzz import dossier
from tests.fuzz.promises import holds

LDIF = sources.ldif({})
TABLE = sources.own_table({})
_REASON = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*|\d+ values for \d+ columns")
Read = tuple[list[Row | Rejected], bool] | None
"""The rows and whether the file ended; None for a file that is refused."""


class _Trickle(io.BytesIO):
    """The same bytes, of which a line comes in pieces."""

    def readline(self, limit: int | None = -1, /) -> bytes:
        return super().readline(5 if limit is None or limit < 0 else min(limit, 5))


def _read(source: Source, file: io.BytesIO) -> Read:
    try:
        found = source.opened(file, source.columns, source.shape)
        return list(found), found.ended
    except FeedError as error:
        holds(len(str(error)) < 300, "a refusal is a sentence")
        return None


def _rows(source: Source, found: Read) -> list[Row]:
    """Those that can be used; each of them, and each that cannot, keeps its promises."""
    rows, _ = found or ([], False)
    numbers = [each.number for each in rows]
    holds(numbers == sorted(set(numbers)), "rows are numbered in their order")
    for each in rows:
        if isinstance(each, Rejected):
            holds(_REASON.fullmatch(each.reason), "a rejected line has a reason that quotes nothing")
            continue
        holds(len(each.values) == len(source.columns), "a row has a value for each column")
        holds(not any(re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value) for value in each.values), "no control character")
        holds(_encodes(each.values), "what is read can be kept")
        source.read(each)
    return [each for each in rows if isinstance(each, Row)]


def _encodes(values: Sequence[str]) -> bool:
    try:
        return bool("".join(values).encode()) or True
    except UnicodeEncodeError:
        return False


# --- FINESS -------------------------------------------------------------------------------------------------------


def finess_reader(data: bytes) -> None:
    """directory.feed.finess, and the older text file behind the same door."""
    found = _read(sources.FINESS, io.BytesIO(data))
    rows = _rows(sources.FINESS, found)
    if data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1] != b"{":
        return
    holds(_read(sources.FINESS, _Trickle(data)) == found, "pieces do not matter")
    whole = _as_json(data)
    if whole is None or found is None:
        return
    holds(found[1], "a whole object has ended")
    told = [(each.values[_FINESS], each.values[_LEGAL]) for each in rows]
    holds(told == list(_active(whole)), "the active establishments, each once, in order")
    cut = _read(sources.FINESS, io.BytesIO(data.rstrip()[:-1]))
    holds(cut is None or not cut[1], "what lacks its last brace has not ended")


_FINESS, _LEGAL = ([each.field for each in sources.FINESS.columns].index(name) for name in ("finess", "legal_finess"))


class _OtherReadingError(Exception):
    """An object that readers of JSON may read in two ways."""


def _as_json(data: bytes) -> Any:
    """None for what is no JSON object, or has a name twice, or a number or nesting beyond what json reads."""
    try:
        found = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError, _OtherReadingError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _OtherReadingError
    return dict(pairs)


def _active(whole: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Read in the plainest way; an entity whose number stands behind its establishments is none."""
    for entity in whole.get("pmej") or ():
        with suppress(TypeError, KeyError, AttributeError, ValueError):
            names = list(entity)
            known = entity["informationsGeneralesPMEJ"].get("numFinessPm")
            late = names.index("ege") < names.index("informationsGeneralesPMEJ")
            for each in () if late or not isinstance(entity["ege"], list) else entity["ege"]:
                yield from _usable(each, known)


def _usable(each: Any, legal: Any) -> Iterator[tuple[str, str]]:
    """By the code's own naming, whose fields are not the matter here."""
    with suppress(TypeError, KeyError, AttributeError):
        if each["etatObjet"] == "A":
            known = legal.strip() if isinstance(legal, str) else ""
            told = finess._named(each, known)
            values = [told.get(column.field, "") for column in sources.FINESS.columns]
            if _encodes(values) and not any(re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) for value in values):
                yield told["finess"], known


def _establishment(number: str, **more: Any) -> dict[str, Any]:
    about = {"numFinessEge": number, "nomEgeCourt": "CL", "nomEgeLong": "CLINIQUE É"}
    place = [{"usageAdresse": "03", "codePostal": "93000", "ligneAcheminement": "BOBIGNY"}]
    contact = [{"telecom": {"telephone": "0148000001"}}]
    said = {"informationsGeneralesEGE": about, "adresse": place, "contact": contact, "etatObjet": "A"}
    return {**said, "categorieentiteGeographiqueExercice": "365", **more}


def finess_seeds() -> Iterator[bytes]:
    two = [_establishment("930000001"), _establishment("930000002", etatObjet="I")]
    entity = {"informationsGeneralesPMEJ": {"numFinessPm": "930000099"}, "adresse": [], "ege": two}
    odd = {"informationsGeneralesPMEJ": {"numFinessPm": None}, "ege": [_establishment("930000003", contact=None), {}]}
    flow = {"schemaVersion": "v1.0.0", "gcc": [], "gco": [{"egeDuGco": []}], "pmej": [entity, odd, 3]}
    yield json.dumps(flow).encode()
    yield b"\xef\xbb\xbf" + json.dumps(flow, indent=1, ensure_ascii=False).encode()
    yield json.dumps({"pmej": [{"ege": two} | entity]}).encode()
    yield b'{"pmej": []}'
    yield json.dumps(flow).replace("CLINIQUE", r"\ud800").encode()
    yield rb'{"pmej": [{"informationsGeneralesPMEJ": {}, "ege": [{"etatObjet": "A", "informationsGeneralesEGE": {'
    yield b"finess;etalab;93;2026-11-01\nstructureet;930000001;930000099;CL;CLINIQUE" + b";" * 17 + b"\n"


# --- LDIF ---------------------------------------------------------------------------------------------------------


def ldif_reader(data: bytes) -> None:
    """directory.feed.ldif_records."""
    found = _read(LDIF, io.BytesIO(data))
    rows = _rows(LDIF, found)
    theirs = _by_python_ldap(data)
    if theirs is None or found is None or any(isinstance(each, Rejected) for each in found[0]):
        return
    holds([each.values for each in rows] == theirs, "rows are those of python-ldap")


def _by_python_ldap(data: bytes) -> list[tuple[str, ...]] | None:
    """Entries with an address; None for what that reader, or the norm, takes otherwise than ours."""
    if re.search(rb"\r(?!\n)|(?:\A|\n\r?\n) |[^\x00-\x7f]|<|(?i:changetype|version)|\x00", data) or not data.endswith(
        b"\n\n"
    ):
        return None
    parser = ldif.LDIFRecordList(io.BytesIO(data))
    try:
        parser.parse()
    except (ValueError, KeyError, IndexError):
        return None
    told = [_values(entry) for _, entry in parser.all_records]
    return [values for values in told if all(v for v, c in zip(values, LDIF.columns, strict=True) if c.key)]


def _values(entry: dict[str, list[bytes]]) -> tuple[str, ...]:
    said: dict[str, list[str]] = {}
    for name, values in entry.items():
        attribute = name.partition(";")[0].strip().lower()
        said.setdefault(attribute, []).extend(each.decode("utf-8", "replace").strip() for each in values)
    chosen = (next((said[name] for name in column.names if name in said), []) for column in LDIF.columns)
    return tuple(ldif_records.BETWEEN.join(each) for each in chosen)


def ldif_seeds() -> Iterator[bytes]:
    plain = b"dn: uid=1,o=x\nmail: a.b@x.example\nmssType: ORG\no: Accueil\n\n"
    yield b"version: 1\n\n" + plain
    yield plain + plain.replace(b"mail", b"# of\n # the place\nmail")
    yield plain.replace(b"a.b@x", b"a.b\n @x").replace(b" Accueil", b": QWNjdWVpbA==")
    yield plain.replace(b"o: ", b"o;lang-fr: ").replace(b"\n", b"\r\n") + plain[:-9]
    yield plain.replace(b"o: Accueil", b"jpegPhoto:< file:///etc/passwd\nuserCertificate;binary:: MAMCAQU=")
    yield b"# made by hand\n" + plain.replace(b"mail", b"changetype: modify\nmail") + b"\n\nx\n"


# --- a table of one's own, and the archive of a national file -------------------------------------------------------


def table_reader(data: bytes) -> None:
    """directory.feed.lines, quotes and separators as in a table of one's own."""
    found = _read(TABLE, io.BytesIO(data))
    _rows(TABLE, found)
    if found is not None:
        holds(found[1] == data.endswith(b"\n") or not data.strip(), "a last line without an end was cut")


def table_seeds() -> Iterator[bytes]:
    head = ";".join(sources.TEMPLATE).encode()
    row = b";".join([b"ORG", b"accueil@x.example"] + [b"x"] * (len(sources.TEMPLATE) - 2))
    yield head + b"\n" + row + b"\n"
    yield b"\xef\xbb\xbf" + head + b";\r\n" + row + b";\r\n"
    yield b'type;"adresse"\nORG;"a ""b"" c@x.example"\n\nORG;"x\n'
    yield b"adresse;type\na\x01@x.example;APP\n"
    yield b"adresse;type;inconnue\na@x.example;APP\n\xe9;ORG;x\n"


def extraction_reader(data: bytes) -> None:
    """dmp_bridge.archive as a stream: by the rules of the door, and the same bytes that zipfile gives."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        path = Path(f"/proc/self/fd/{descriptor}")
        whole = archive.unzip(data, archive.EXTRACTION)
        names = list(whole.files) if isinstance(whole, archive.Entries) else _names(data)
        for name in names[:8]:
            content = _streamed(path, name)
            if isinstance(whole, archive.Entries):
                holds(content == whole.files[name], "what the door unpacks, the stream gives")
            elif content is not None:
                with zipfile.ZipFile(io.BytesIO(data)) as other:
                    holds(other.read(name) == content, "the same content that another reads")
    finally:
        os.close(descriptor)


def _streamed(path: Path, name: str) -> bytes | None:
    try:
        with archive.streamed(path, lambda each: each == name) as opened:
            return opened.read(1 << 22)
    except archive.Refused as refused:
        holds(re.fullmatch(r"[a-z0-9-]+", str(refused)), "a refusal names a rule and quotes nothing")
        return None


def _names(data: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as other:
            return [each.filename for each in other.infolist()]
    except Exception:  # whatever the other reader makes of it
        return []


def extraction_seeds() -> list[bytes]:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(
            "PS_LibreAcces_SavoirFaire_202611020213.txt", b"Type d'identifiant PP|Identifiant PP|\n8|1|\n" * 40
        )
        out.writestr("LISEZ-MOI.TXT", b"x", zipfile.ZIP_STORED)
    return [held.getvalue(), *dossier.zip_seeds()[:2]]
