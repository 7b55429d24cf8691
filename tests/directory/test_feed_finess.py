"""The open JSON flow of FINESS, beside the older text file: the same structures under the same keys."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from directory.feed import sources
from directory.feed.items import Branch
from directory.feed.lines import BOM, MAX_LINE, FeedError, Rejected, Row


def establishment(number: str, state: str = "A", **about: Any) -> dict[str, Any]:
    """One `ege` in the form of the files of 2026."""
    said = {"numFinessEge": number, "nomEgeCourt": f"CL {number}", "nomEgeLong": f"CLINIQUE {number}", "siret": None}
    places = [
        {"usageAdresse": "04", "codePostal": "93200", "ligneAcheminement": "SAINT DENIS"},
        {"usageAdresse": "03", "codePostal": "93000", "ligneAcheminement": "BOBIGNY CEDEX 9"},
    ]
    return {
        "informationsGeneralesEGE": said | about,
        "categorieentiteGeographiqueExercice": "365",
        "adresse": places,
        "contact": [{"telecom": {"telephone": None}}, {"telecom": {"telephone": "0148000001"}}],
        "etatObjet": state,
        "evenement": [{"evenementId": "1", "codeEvenement": "[}]{"}],
    }


def entity(*found: Any) -> dict[str, Any]:
    return {"informationsGeneralesPMEJ": {"numFinessPm": "930000099"}, "ege": list(found), "adresse": []}


def flow(*entities: Any, **more: Any) -> dict[str, Any]:
    groups = {"gco": [{"pmSmsseId": "1", "egeDuGco": []}], "gcc": []}
    return {"schemaVersion": "v1.0.0", "generatedAt": "2026-11-01T00:00:00Z", **groups, "pmej": list(entities), **more}


def rows(data: bytes) -> tuple[list[Row | Rejected], bool]:
    read = sources.FINESS.opened(io.BytesIO(data), sources.FINESS.columns, sources.FINESS.shape)
    return list(read), read.ended


def items(data: bytes) -> list[dict[str, str]]:
    found = [sources.FINESS.read(row) for row in rows(data)[0] if isinstance(row, Row)]
    return [item.named() for each in found if not isinstance(each, Rejected) for item in each]


TWO = flow(entity(establishment("930000001"), establishment("930000002", "I")), entity(establishment("930000003")))
FIRST = {
    "finess": "930000001",
    "legal_finess": "930000099",
    "name": "CLINIQUE 930000001",
    "category": "365",
    "town": "BOBIGNY",
    "postal_code": "93000",
    "phone": "0148000001",
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("mark", [b"", BOM])
def test_each_active_establishment_is_a_structure(indent: int | None, mark: bytes) -> None:
    """With its legal entity, its main address and its first telephone; on one line or on many; a closed one is gone."""
    found = items(mark + json.dumps(TWO, indent=indent, ensure_ascii=False).encode())
    assert found[0] == FIRST
    assert [each["finess"] for each in found] == ["930000001", "930000003"]


def test_both_forms_of_the_file_name_a_structure_alike() -> None:
    """A directory fed by the text file goes on with the JSON one: same branch, same key."""
    line = "structureet;930000001;930000099;CL;CLINIQUE 930000001;;;;;;;;;;;93000 BOBIGNY;0148000001;;365;X;;;\n"
    found = []
    for data in (b"finess;etalab;93;2026-11-01\n" + line.encode(), json.dumps(TWO).encode()):
        read = sources.FINESS.read(next(row for row in rows(data)[0] if isinstance(row, Row)))
        assert not isinstance(read, Rejected)
        found.append(read[0])
    assert (found[0].branch, found[0].key) == (found[1].branch, found[1].key) == (Branch.STRUCTURES, "930000001")


def test_a_large_file_is_read_in_pieces() -> None:
    """Entities lie across any border of a piece, with an accent on it."""
    many = [entity(establishment(f"93{number:07}", nomEgeLong="É" * 300)) for number in range(600)]
    data = json.dumps(flow(*many), ensure_ascii=False).encode()
    assert len(data) > 8 * MAX_LINE
    assert [each["finess"] for each in items(data)] == [f"93{number:07}" for number in range(600)]


def test_a_file_that_was_cut_says_so_wherever_it_was() -> None:
    """What came before is read, and `ended` is what keeps anybody from being closed; whole, it ended."""
    data = json.dumps(TWO).encode()
    assert rows(data)[1]
    for length in range(20, len(data) - 1, 7):
        assert rows(data[:length])[1] is False
    assert len(rows(data[: data.rindex(b'"informationsGeneralesPMEJ"')])[0]) == 1


STRANGE: dict[str, Any] = {
    "no object": 3,
    "without its legal entity": {"ege": [establishment("930000001")]},
    "an establishment without a state": entity({"informationsGeneralesEGE": {}}),
    "an address that is none": entity(establishment("930000001") | {"adresse": ["x"]}),
    "a control character": entity(establishment("930000001", nomEgeLong="a\nb")),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_not_as_described_is_rejected_by_its_place(strange: str) -> None:
    """And the next one is read."""
    found, ended = rows(json.dumps(flow(STRANGE[strange], entity(establishment("930000003")))).encode())
    assert [type(each) for each in found] == [Rejected, Row]
    assert ended


@pytest.mark.parametrize(
    "data",
    [b"{}", b'{"pmej": {}}', b'{"autre": []}', b'{"pmej": ' + b"[" * 100_000, b'{"pmej": [{"a": "\xff"}]}'],
    ids=["nothing", "no list", "another flow", "too deep", "not UTF-8"],
)
def test_another_json_is_an_error(data: bytes) -> None:
    """Nothing is planned from it; a list of that name, even an empty one, is a flow."""
    with pytest.raises(FeedError):
        rows(data)
    assert rows(b'{"pmej": []}') == ([], True)
