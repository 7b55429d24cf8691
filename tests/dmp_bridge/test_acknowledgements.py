"""What other operators' bridges answer is read in every form that they write."""

from __future__ import annotations

import pytest

from dmp_bridge.acknowledgements import Acknowledgement, Form, read
from relay.message import scan


def notification(disposition: str, subject: str = "XDM/1.0/DDM+x", more: str = "") -> bytes:
    return (
        f"From: <app@x.test>\r\nTo: <a@b.test>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=B\r\n\r\n"
        "--B\r\nContent-Type: text/plain\r\n\r\nBonjour\r\n"
        "--B\r\nContent-Type: message/disposition-notification\r\n\r\n"
        f"Final-Recipient: rfc822;app@x.test\r\nOriginal-Message-ID: <1@b.test>\r\n{more}Disposition: {disposition}\r\n"
        "--B--\r\n"
    ).encode()


def error_mail(subject: str, kind: str = "message/rfc822") -> bytes:
    return (
        f"From: <app@x.test>\r\nTo: <a@b.test>\r\nSubject: {subject}\r\nIn-Reply-To: <1@b.test>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\nErreur\r\n"
        f"--B\r\nContent-Type: {kind}\r\n\r\nSubject: x\r\n\r\ny\r\n--B--\r\n"
    ).encode()


AUTOMATIC = "automatic-action/MDN-sent-automatically; processed"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (notification(AUTOMATIC), ""),
        (notification(AUTOMATIC.upper()), ""),
        (notification(f"{AUTOMATIC}/Error: 902^Identifiant de patient inconnu"), "902"),
        (notification(f"{AUTOMATIC}/error:902^Identifiant patient inconnu^messageErrorCondition| E^Error"), "902"),
        (notification(f"{AUTOMATIC}/Error: 555^Inconnu"), "906"),
        (notification(f"{AUTOMATIC}/Error", more="Error: 903^INS absent\r\n"), "903"),
        (notification(f"{AUTOMATIC}/Error", subject="[KO Integration systeme !][904] XDM/1.0/DDM+x"), "904"),
        (notification(f"{AUTOMATIC}/Error"), "906"),
    ],
)
def test_a_notification(raw: bytes, code: str) -> None:
    """The code up to the first caret, wherever it stands; a code that no list holds is 906."""
    assert read(scan(raw)) == Acknowledgement(Form.NOTIFICATION, code, "<1@b.test>")


@pytest.mark.parametrize(
    "subject",
    [
        "[KO Integration systeme !][902] XDM/1.0/DDM+x",
        "=?utf-8?q?=5BKO_Int=C3=A9gration_syst=C3=A8me_!=5D=5B902=5D_XDM/1=2E0/DDM+x?=",
        "=?utf-8?q?=5BErreur_d=E2=80=99int=C3=A9gration_!=5D=5B902=5D_XDM/1=2E0/DDM+x?=",
        "Re: [ko Integration][ 902 ] XDM/1.0/DDM+x",
    ],
)
def test_an_error_mail(subject: str) -> None:
    """Either prefix, encoded or not."""
    assert read(scan(error_mail(subject))) == Acknowledgement(Form.ERROR_MAIL, "902", "<1@b.test>")


@pytest.mark.parametrize(
    "raw",
    [
        notification("manual-action/MDN-sent-manually; displayed"),
        notification("automatic-action/MDN-sent-automatically; deleted"),
        notification("nonsense"),
        error_mail("[KO Integration systeme !][902] XDM/1.0/DDM+x", kind="text/plain"),
        error_mail("XDM/1.0/DDM+x [902]"),
        b"Subject: [KO x][902]\r\n\r\nx",
        b"Subject: Bonjour\r\n\r\nx",
    ],
)
def test_what_speaks_of_no_filing(raw: bytes) -> None:
    """A reader's receipt, a prefix without what it encloses, an ordinary letter."""
    assert read(scan(raw)) is None
