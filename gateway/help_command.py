"""`pli help`: what stands in the product itself and is worth printing, beginning with everything it can refuse.

Promises: `pli help replies` prints the very rows that the doors answer with and that screens show, no others; it needs
no configuration and no node. Does not: hold a sentence (gateway.doors.replies and turns do).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import click
from rich.table import Column, Table

from gateway.command import LANGUAGE, out
from gateway.doors.replies import FILINGS, REASONS, Reply
from gateway.doors.turns import TURNS


@click.group("help")
def help_group() -> None:
    """What Pli answers: its table of replies."""


@dataclass(frozen=True)
class Row:
    """One reply. `kind`: 'reason' (of a refusal), 'filing' (into the dossier), 'turn' (of the conversation)."""

    kind: str
    name: str
    code: int
    enhanced: str
    french: str
    english: str

    @property
    def refuses(self) -> bool:
        return self.code >= 400


def rows() -> Iterator[Row]:
    """The whole table, in the order of its files."""
    yield from (_row("reason", name.value, reply) for name, reply in REASONS.items())
    yield from (_row("filing", name.value, reply) for name, reply in FILINGS.items())
    yield from (_row("turn", name.value, reply) for name, reply in TURNS.items())


def _row(kind: str, name: str, reply: Reply) -> Row:
    # A turn that says yes has one sentence, with both languages in it.
    return Row(kind, name, reply.code, reply.enhanced, reply.french, reply.english or reply.french)


_HEADS = {
    "fr": ("sorte", "nom", "code", "code étendu", "phrase"),
    "en": ("kind", "name", "code", "enhanced code", "sentence"),
}


@help_group.command()
@click.option("--all", "everything", is_flag=True, help="With the turns of the conversation that say yes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, with both languages.")
@LANGUAGE
def replies(everything: bool, as_json: bool, lang: str) -> None:
    """Every refusal that Pli can give: its name, SMTP code, enhanced code (RFC 3463) and sentence."""
    shown = [row for row in rows() if everything or row.refuses]
    if as_json:
        for row in shown:
            click.echo(json.dumps(row.__dict__, ensure_ascii=False))
        return
    table = Table(*(Column(head, no_wrap=head != _HEADS[lang][-1]) for head in _HEADS[lang]))
    for row in shown:
        table.add_row(row.kind, row.name, str(row.code), row.enhanced, row.french if lang == "fr" else row.english)
    out.print(table)
