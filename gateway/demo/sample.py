"""The letter that the demo sends: an invented one-page imaging report as PDF, and the CDA around it.

Promises: nobody in it exists (the patient is the test identity that ANS publishes); the same moment and
serial give the same header. Does not: claim PDF/A, which asks for embedded fonts.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from dmp_bridge import cda
from dmp_bridge.model import Author, Code, Ins, InsStatus, Patient, Traits

# A number under a UUID arc (ITU-T X.667): nobody's registered arc is borrowed.
ROOT = "2.25.302614728199604837185093640181732219904"
TITLE = "Compte rendu d'IRM du genou droit"
IMAGING_REPORT = Code("18748-4", "2.16.840.1.113883.6.1", "CR d'imagerie médicale")
GROUP_PRACTICE = Code("SA08", "1.2.250.1.71.4.2.4", "Cabinet de groupe")
AMBULATORY = Code("AMBULATOIRE", "1.2.250.1.213.1.1.4.9", "Ambulatoire")
RADIOLOGIST = Code("G15_10/SM44", "1.2.250.1.213.1.1.4.5", "Médecin - Radio-diagnostic (SM)")
EVENTS = (
    Code("36510-6", "2.16.840.1.113883.6.1", "MR Knee - right WO contrast"),
    Code("MR", "1.2.840.10008.2.16.4", "Imagerie par résonance magnétique"),
)
PARIS = ZoneInfo("Europe/Paris")

PATIENT = Patient(
    ins=Ins("279035121518989", "1.2.250.1.213.1.4.10"),
    traits=Traits("PAT-TROIS", "DOMINIQUE", "DOMINIQUE MARIE-LOUISE", date(1979, 3, 28), "F", "51215"),
    local_ids=((f"{ROOT}.1", "IPP-000372"),),
    ins_status=InsStatus.QUALIFIED,
)
AUTHOR = Author(
    person_id="810100000017",
    family_name="LEROUX",
    given_name="Hélène",
    institution_id="1750000018",
    institution_name="Imagerie médicale des Tilleuls",
    specialty=RADIOLOGIST,
)

_SECTIONS = (
    (
        "Indication",
        "Gonalgie droite interne après torsion en charge lors d'une course à pied, il y a six semaines.",
    ),
    (
        "Technique",
        "Séquences coronale T1, coronale, sagittale et axiale en densité de protons avec saturation de "
        "la graisse. Sans injection.",
    ),
    (
        "Résultats",
        "Ménisque médial : fissure horizontale de la corne postérieure, ouverte à la face inférieure, sans "
        "fragment déplacé. Ménisque latéral d'aspect normal.\n"
        "Ligament croisé antérieur et ligament croisé postérieur continus, de signal normal. Ligaments "
        "collatéraux respectés.\n"
        "Cartilage fémoro-tibial conservé. Chondropathie patellaire superficielle, grade 1.\n"
        "Épanchement articulaire de faible abondance. Pas de kyste poplité. Pas d'oedème osseux.",
    ),
    (
        "Conclusion",
        "Fissure horizontale stable de la corne postérieure du ménisque médial du genou droit. Épanchement "
        "de faible abondance. Ligaments croisés intacts.",
    ),
)


def report_pdf(at: datetime, patient: Patient = PATIENT, author: Author = AUTHOR) -> bytes:
    """One A4 page, French, standard fonts (Latin-1)."""
    page = FPDF(format="A4")
    page.set_title(TITLE)
    page.set_lang("fr-FR")
    page.set_creation_date(at)
    page.set_margins(20, 18, 20)
    page.add_page()
    _heading(page, author)
    _identity(page, at, patient)
    for name, text in _SECTIONS:
        _section(page, name, text)
    page.ln(4)
    _line(page, f"Validé électroniquement par le Dr {author.given_name} {author.family_name}, radiologue")
    page.set_text_color(120, 120, 120)
    page.ln(8)
    _line(page, "Document fictif : démonstration de Pli. Identité de test.", size=8)
    return bytes(page.output())


def report_cda(at: datetime, pdf: bytes, serial: int = 1, patient: Patient = PATIENT, author: Author = AUTHOR) -> bytes:
    """The CDA N1 around `pdf`. `serial` tells documents of one demo apart."""
    local = at.astimezone(PARIS)
    header = cda.N1Header(
        unique_id=f"{ROOT}.2.{int(at.timestamp())}.{serial}",
        set_id=f"{ROOT}.3.{int(at.timestamp())}.{serial}",
        type=IMAGING_REPORT,
        title=TITLE,
        effective_time=local,
        patient=patient,
        author=author,
        facility=GROUP_PRACTICE,
        practice_setting=AMBULATORY,
        service_start=local - timedelta(hours=2),
        service_stop=local - timedelta(hours=1, minutes=40),
        events=EVENTS,
        order=(f"{ROOT}.4", f"D{serial:06}"),
        accession=(f"{ROOT}.5", f"A{serial:06}"),
        study_uid=f"{ROOT}.6.{int(at.timestamp())}.{serial}",
    )
    return cda.wrap_pdf(pdf, header)


def _heading(page: FPDF, author: Author) -> None:
    page.set_text_color(20, 60, 90)
    _line(page, author.institution_name, size=15, style="B")
    page.set_text_color(90, 90, 90)
    _line(page, f"FINESS {author.institution_id[1:]}", size=9)
    page.set_draw_color(20, 60, 90)
    page.line(20, page.get_y() + 2, 190, page.get_y() + 2)
    page.ln(8)
    page.set_text_color(0, 0, 0)
    _line(page, TITLE, size=16, style="B")
    page.ln(2)


def _identity(page: FPDF, at: datetime, patient: Patient) -> None:
    traits = patient.traits
    born = traits.birth_date.strftime("%d/%m/%Y") if traits.birth_date else ""
    page.set_fill_color(238, 243, 247)
    lines = (
        f"Patiente : {traits.birth_name} {traits.first_given_name}, née le {born}, sexe {traits.sex}",
        f"Matricule INS : {patient.ins.value if patient.ins else 'absent'}",
        f"Examen du {at.astimezone(PARIS).strftime('%d/%m/%Y à %H:%M')}",
    )
    page.set_font("helvetica", size=11)
    page.multi_cell(0, 6.5, "\n".join(lines), fill=True, padding=2, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.ln(4)


def _section(page: FPDF, name: str, text: str) -> None:
    page.set_text_color(20, 60, 90)
    _line(page, name, size=12, style="B")
    page.set_text_color(0, 0, 0)
    page.set_font("helvetica", size=11)
    page.multi_cell(0, 6, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.ln(3)


def _line(page: FPDF, text: str, size: float = 11, style: str = "") -> None:
    page.set_font("helvetica", style=style, size=size)
    page.cell(0, size * 0.55, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
