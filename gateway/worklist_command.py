"""`pli worklist`: documents that a person must look at, the evidence side by side, and his decision.

Promises: names of traits and answers, never a value; exit code 2 and a sentence where nothing was decided. Does not:
read or change anything by itself (gateway.patients_desk and gateway.lookout do).
"""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from gateway.command import LANGUAGE, TENANT, out, with_settings
from gateway.config import Settings
from gateway.patients_command import WHY, in_words

_ANSWERS = {
    "fr": {"agrees": "concorde", "differs": "diffère", "absent": "absent"},
    "en": {"agrees": "agrees", "differs": "differs", "absent": "absent"},
}
_TRAITS = {
    "ins": "INS",
    "ins_root": "OID de l'INS",
    "ins_key": "clé de l'INS",
    "ins_formerly": "ancien INS",
    "ins_qualified": "INS qualifiée ici",
    "learned_link": "numéro déjà rattaché",
    "local_number": "numéro de l'établissement",
    "birth_name": "nom de naissance",
    "first_given_name": "premier prénom",
    "birth_date": "date de naissance",
    "sex": "sexe",
    "birth_place": "lieu de naissance",
}


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True)
@LANGUAGE
@TENANT
@click.pass_context
def worklist(context: click.Context, /, **asked: Any) -> None:
    """Documents that a person must look at before they are filed."""
    if context.invoked_subcommand is None:
        context.invoke(_waiting, **asked)


@click.command(hidden=True)
@with_settings
def _waiting(settings: Settings, as_json: bool, lang: str) -> None:
    from gateway import lookout

    rows = lookout.worklist(settings)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    heads = {"fr": ("entrée", "lettre", "motif", "depuis"), "en": ("entry", "letter", "reason", "since")}
    table = Table(*heads[lang])
    for row in rows:
        table.add_row(row["id"][:8], row["letter_id"], lookout.why(row["reason"], lang), row["at"])
    out.print(table)


@worklist.command("show")
@click.argument("entry")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@LANGUAGE
@with_settings
def worklist_show(settings: Settings, entry: str, as_json: bool, lang: str) -> None:
    """One entry, open or closed: for each candidate which traits agree, which differ, which are absent."""
    from gateway import lookout, patients_desk

    with in_words():
        found = patients_desk.entry(settings, entry)
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False, default=lambda at: at.isoformat(timespec="seconds")))
        return
    click.echo(f"{found.id}  {found.letter_id}  {lookout.why(found.reason, lang)}")
    if ruled := lookout.rulings(settings, found.letter_id, found.document_id, lang):
        click.echo(ruled)
    if not found.open:
        click.echo(
            f"{found.decision}: {found.patient_id} {found.decided_by} {found.decided_at:%d/%m/%Y %H:%M} {found.why}"
        )
    out.print(_beside(found.candidates, found.sides or (found.evidence,), lang))


def _beside(candidates: tuple[str, ...], sides: tuple[tuple[tuple[str, str], ...], ...], lang: str) -> Table:
    """One column for each candidate, one row for each trait."""
    names = list(dict.fromkeys(name for side in sides for name, _ in side))
    table = Table("trait", *(candidates or ("-",)))
    for name in names:
        answers = [_ANSWERS[lang].get(dict(side).get(name, ""), "") for side in sides]
        table.add_row(_TRAITS.get(name, name) if lang == "fr" else name, *answers[: max(1, len(candidates))])
    return table


@worklist.command("confirm")
@click.argument("entry")
@click.option("--patient", default="", help="Which candidate, where there are several.")
@WHY
@with_settings
def worklist_confirm(settings: Settings, entry: str, patient: str, why: str) -> None:
    """It is the candidate's: the document is sent to the dossier again, and the sender's number is remembered."""
    _decided(settings, entry, "confirmed", patient, why)


@worklist.command("correct")
@click.argument("entry")
@click.option("--patient", required=True, help="Whose it is: number (IPP) or id of the register.")
@WHY
@with_settings
def worklist_correct(settings: Settings, entry: str, patient: str, why: str) -> None:
    """It is another patient's, whom you name."""
    _decided(settings, entry, "corrected", patient, why)


@worklist.command("refuse")
@click.argument("entry")
@WHY
@with_settings
def worklist_refuse(settings: Settings, entry: str, why: str) -> None:
    """It is not filed; the entry closes."""
    _decided(settings, entry, "refused", "", why)


def _decided(settings: Settings, entry: str, decision: str, patient: str, why: str) -> None:
    from dmp_bridge.worklist import Decision
    from gateway import patients_desk

    with in_words():
        sent: Any = patients_desk.decide(settings, entry, Decision(decision), patient, why, getpass.getuser())
    click.echo(f"{decision}, sent to the dossier again" if sent else decision)
