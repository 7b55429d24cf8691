"""Lines of the national files, and of tables of one's own, read by name and refused by name."""

from __future__ import annotations

import io
import random

import pytest

from directory.feed import generator, sources
from directory.feed.generator import Country
from directory.feed.items import Item, Source
from directory.feed.lines import BOM, MAX_LINE, Column, FeedError, Lines, Rejected, Row, Shape, normalised

COLUMNS = (Column("kind", ("type",), key=True), Column("town", ("ville", "commune")))


PIPES = Shape()


def read(content: bytes, columns: tuple[Column, ...] = COLUMNS, shape: Shape = PIPES) -> list[Row | Rejected]:
    return list(Lines(io.BytesIO(content), columns, shape))


def values(content: bytes, **shape: Shape) -> list[tuple[str, ...]]:
    return [row.values for row in read(content, **shape) if isinstance(row, Row)]


PLAIN = "Type|Ville|\nPER|Évry|\nORG||\n".encode()

SAME = {
    "no trailing separator": "Type|Ville\nPER|Évry\nORG|\n".encode(),
    "a trailing separator in the rows alone": "Type|Ville\nPER|Évry|\nORG||\n".encode(),
    "a byte order mark": BOM + PLAIN,
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "shuffled columns": "Ville|Type|\nÉvry|PER|\n|ORG|\n".encode(),
    "a column nobody knows": "Type|Nouveau|Ville|\nPER|x|Évry|\nORG|y||\n".encode(),
    "another wording": "TYPE|commune (coord. structure)|\nPER|Évry|\nORG||\n".encode(),
    "blank lines": PLAIN.replace(b"\nORG", b"\n\nORG") + b"\n",
    "no line end at the end": PLAIN.removesuffix(b"\n"),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_what_makes_no_difference(content: bytes) -> None:
    """Order, further columns, marks and line ends change nothing (directory §16.2)."""
    assert values(content) == values(PLAIN) == [("PER", "Évry"), ("ORG", "")]


def test_a_missing_key_column_is_an_error_before_the_first_row() -> None:
    """Nothing is read of a file that lacks what it is about; a column that may lack is empty."""
    with pytest.raises(FeedError, match="« type » manque"):
        Lines(io.BytesIO(b"Genre|Ville|\nPER|Meaux|\n"), COLUMNS)
    assert values(b"Type|Pays|\nPER|FR|\n") == [("PER", "")]


@pytest.mark.parametrize(
    "header", [b"", b"\xff\xfe|x\n", b"un seul\n", b"Type|Type|\n", b"PK\x03\x04\x14\x00\x00\n"], ids=range(5)
)
def test_what_is_no_table_is_an_error(header: bytes) -> None:
    """An empty file, another encoding, one column, a name twice, an archive."""
    with pytest.raises(FeedError):
        Lines(io.BytesIO(header), COLUMNS)


REFUSED = {
    b"PER|\xe9vry|": "not-utf-8",
    b"PER|": "1 values for 2 columns",
    b"PER|Meaux|x|": "3 values for 2 columns",
    b"PER|Me\x00aux|": "control-character",
    b"PER|Me\x1baux|": "control-character",
    b"PER|" + b"x" * MAX_LINE + b"|": "too-long",
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.items(), ids=REFUSED.values())
def test_a_line_that_cannot_be_used_is_named_by_number_and_reason(line: bytes, reason: str) -> None:
    """The others are read all the same, and nothing of the line is repeated."""
    assert read(b"Type|Ville|\nORG|Meaux|\n" + line + b"\nORG|Paris|\n") == [
        Row(2, ("ORG", "Meaux")),
        Rejected(3, reason),
        Row(4, ("ORG", "Paris")),
    ]


def test_a_line_that_was_cut_shows() -> None:
    """A file that does not end with a line end was perhaps not read to its end."""
    whole, cut = Lines(io.BytesIO(PLAIN), COLUMNS), Lines(io.BytesIO(PLAIN[:-4]), COLUMNS)
    assert (len(list(whole)), whole.ended) == (2, True)
    assert (len(list(cut)), cut.ended) == (2, False)


def test_a_table_of_ones_own_may_be_quoted_and_in_windows_1252() -> None:
    """What a spreadsheet writes: semicolons, quotes, an encoding that is said."""
    shape = Shape(";", quoted=True, encoding="cp1252")
    content = 'Type;Ville\nPER;"L\'Haÿ; les ""Roses"""\nPER;"ouvert\n'.encode("cp1252")
    assert read(content, shape=shape) == [Row(2, ("PER", 'L\'Haÿ; les "Roses"')), Rejected(3, "quotes")]


def test_names_are_compared_without_their_suffix() -> None:
    """Versions of the files differ in case, accents and what stands in brackets (directory §3.2)."""
    assert normalised("L4NUMEROVOIE structure BAL") == normalised("l4numerovoie") == "l4numerovoie"
    assert normalised("Code postal (coord. structure)") == normalised("CODE POSTAL")


# --- what rows want -------------------------------------------------------------------------------------------


def items_of(source: Source, content: bytes) -> list[Item | Rejected]:
    found: list[Item | Rejected] = []
    for row in Lines(io.BytesIO(content), source.columns, source.shape):
        read = row if isinstance(row, Rejected) else source.read(row)
        found += [read] if isinstance(read, Rejected) else read
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    written = generator.write(Country(400), tmp_path_factory.mktemp("pays"))
    return {name: path.read_bytes() for name, path in written.items()}


@pytest.mark.parametrize("name", ["mssante", "personne-activite", "savoir-faire", "diplomes", "finess"])
def test_shuffled_columns_want_the_same(name: str, files: dict[str, bytes]) -> None:
    """Each kind of file, with its columns in another order and one more: the same items, all of them."""
    source, content = sources.KNOWN[name], files[name]
    expected = items_of(source, content)
    assert len(expected) > 10
    if name != "finess":  # which names no columns
        assert items_of(source, _shuffled(content)) == expected


def _shuffled(content: bytes) -> bytes:
    lines = [[*line.removesuffix("|").split("|"), "Colonne nouvelle"] for line in content.decode().splitlines()]
    order = list(range(len(lines[0])))
    random.Random(7).shuffle(order)
    return "".join(
        "|".join(line[place] for place in order) + "|\n" for line in lines if len(line) == len(order)
    ).encode()


def test_every_column_of_the_national_files_is_there() -> None:
    """31, 56, 13 and 13 columns (directory §3.3 to §3.5), and those that we use are among them."""
    counts = {name: header.count("|") for name, header in generator.HEADERS.items() if name != "finess"}
    assert counts == {"mssante": 31, "personne-activite": 56, "savoir-faire": 13, "diplomes": 13}
    for name in counts:
        table = Lines(io.BytesIO(generator.HEADERS[name].encode() + b"\n"), sources.KNOWN[name].columns).table
        assert None not in table.places


ROW = "PER|a.b@hopital.mssante.example|8|{rpps}||FINESS|{finess}||DR|MARTIN|Anne" + "|" * 21
ONE = {"rpps": "10900000011", "finess": "930000001"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"rpps": "1090000001"}, "person-identifier"),
        ({"finess": "93000000"}, "finess"),
        ({"address": "deux@mots@x.example"}, "address"),
        ({"address": "279035121518989@patient.mssante.fr"}, "patient-address"),
        ({"kind": ""}, "kind"),
    ],
    ids=["rpps", "finess", "address", "patient", "kind"],
)
def test_a_row_that_wants_nothing_says_why(changed: dict[str, str], reason: str) -> None:
    """A wrong identifier or address, or a citizen's, refuses its row alone; the right one is taken."""
    head = generator.HEADERS["mssante"] + "\n"
    line = ROW.format(**ONE | {k: v for k, v in changed.items() if k in ONE})
    cells = line.split("|")
    cells[0], cells[1] = changed.get("kind", cells[0]), changed.get("address", cells[1])
    good, bad = ROW.format(**ONE), "|".join(cells)
    first, second = items_of(sources.MSSANTE, f"{head}{good}\n{bad}\n".encode())
    assert isinstance(first, Item)
    assert first.named()["person"] == "810900000011"
    assert second == Rejected(3, reason)


def test_a_table_of_ones_own_maps_its_columns() -> None:
    """Names that differ from the template's are mapped; a column that the template does not have is refused."""
    content = b"Genre;Courriel;nom\nORG;accueil@clinique.mssante.example;\n"
    source = sources.own_table({"type": "Genre", "adresse": "Courriel"})
    (item,) = items_of(source, content)
    assert isinstance(item, Item)
    assert item.named() == {"kind": "ORG", "address": "accueil@clinique.mssante.example"}
    with pytest.raises(FeedError, match="« age »"):
        sources.own_table({"age": "Âge"})


def test_a_heading_that_was_named_is_one_column_alone() -> None:
    """'structure' named as the service is not the structure's name too; two may change places; a key may not go."""
    content = b"type;adresse;structure;ville\nORG;accueil@clinique.mssante.example;Urgences;Meaux\n"
    for mapping, told in (
        ({}, {"name": "Urgences", "town": "Meaux"}),
        ({"service": "Structure"}, {"service": "Urgences", "town": "Meaux"}),
        ({"ville": "structure", "structure": "ville"}, {"name": "Meaux", "town": "Urgences"}),
    ):
        (item,) = items_of(sources.own_table(mapping), content)
        assert isinstance(item, Item)
        assert item.named() == {"kind": "ORG", "address": "accueil@clinique.mssante.example"} | told
    with pytest.raises(FeedError, match="« adresse » manque : son nom est donné pour une autre"):
        sources.own_table({"service": "Adresse"})
