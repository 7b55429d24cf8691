"""Every attack of the tables is refused by its named check; with that check off, exactly its attacks get through it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from certs import chain, checks, cms, contents, enveloped, paths, profiles, signers
from relay import coverage, protected, smime
from tests.fuzz.surgery import loosened
from tests.fuzz.world import CONTENT, OTHER
from tests.hostile.cms import certificate_attacks, enveloped_attacks, letter_attacks, signed_attacks
from tests.hostile.cms.enveloped_attacks import UNWRAP, Sealed, by_hand, padded, transported
from tests.hostile.cms.lab import Answer, Attack, Written, ask_encrypted, ask_letter, ask_signed, lab

TABLES = (signed_attacks, certificate_attacks, enveloped_attacks, letter_attacks)
ATTACKS = {attack.name: attack for table in TABLES for attack in table.ATTACKS}
VALID = ("valid", "")


def test_the_corpus_is_what_it_says() -> None:
    """No two attacks have one name, and there are many."""
    assert len(ATTACKS) == sum(len(table.ATTACKS) for table in TABLES)
    assert len(ATTACKS) > 180


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_refused_by_its_check(name: str) -> None:
    """The check that is for it answers, with its fault."""
    attack = ATTACKS[name]
    assert attack.answer() == (attack.check, attack.fault)


TWINS: dict[str, Callable[[], Answer]] = {
    "signed": lambda: ask_signed(Written().message()),
    "signed by RSA": lambda: ask_signed(Written(who=lab().rsa_author).message()),
    "signed by PSS": lambda: ask_signed(Written(who=lab().rsa_author, pss=True).message()),
    "with its content inside": lambda: ask_signed(Written(inside=CONTENT).message()),
    "sixteen signers": lambda: ask_signed(Written(times=16).message()),
    "thirty-two certificates": lambda: ask_signed(Written(certificates=[lab().author.der] * 32).message()),
    "indefinite lengths, octets in pieces": lambda: ask_signed(loosened(Written(inside=CONTENT).message())),
    "overlong lengths": lambda: ask_signed(overlong(Written().message())),
    "another certificate": lambda: ask_signed(Written(who=lab().issue("HONEST")).message()),
    "by agreement": lambda: ask_encrypted(Sealed().message()),
    "by agreement, by hand": lambda: ask_encrypted(Sealed(infos=(by_hand(),)).message()),
    "with key material": lambda: ask_encrypted(Sealed(infos=(by_hand(ukm=b"x", said_ukm=b"x"),)).message()),
    "by transport": lambda: ask_encrypted(Sealed(infos=(transported(),)).message()),
    "by transport under v1.5": lambda: ask_encrypted(Sealed(infos=(transported(enveloped_attacks.V15),)).message()),
    "under CBC": lambda: ask_encrypted(Sealed(kind=enveloped.ENVELOPED).plain(padded(b"Bonjour"))),
    "a letter, clear": lambda: ask_letter(letter_attacks.clear()),
    "a letter, opaque": lambda: ask_letter(letter_attacks.opaque()),
    "a letter, rebuilt": lambda: ask_letter(letter_attacks.around(b"Content-Type: text/plain\r\n\r\nBonjour\r\n")),
}


@pytest.mark.parametrize("name", TWINS)
def test_what_the_attacks_begin_with_is_valid(name: str) -> None:
    """Without the attack nobody objects; BER in its other forms is no attack."""
    assert TWINS[name]() == VALID


def overlong(der: bytes) -> bytes:
    """The outermost length written in eight octets."""
    start = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[:1] + b"\x88" + (len(der) - start).to_bytes(8, "big") + der[start:]


def test_other_forms_of_ber_speak_for_no_other_content() -> None:
    """The refused twin of the forms above."""
    for made in (loosened(Written().message()), overlong(Written().message())):
        assert ask_signed(made, OTHER) == ("digest-agrees", "digest-mismatch")


# --- switched off ---------------------------------------------------------------------------------------------

Off = tuple[ModuleType | type, str, Callable[..., Any]]


def _never(*_: object, **__: object) -> None:
    return None


def _holds(*_: object) -> bool:
    return True


def _no(*_: object, **__: object) -> bool:
    return False


_SIGNERS = [name for name in signers.first_doubt.__code__.co_names if name in vars(signers)]
GUARDS: dict[str, Off] = {
    **{name.replace("_", "-"): (signers, name, _never) for name in _SIGNERS},
    "signer-there": (cms, "signer_there", _never),
    "content-there": (cms, "content_there", _never),
    "single-signer": (cms, "single_signer", _never),
    "critical-extensions": (checks, "critical_extensions", _never),
    "strong-hashes": (checks, "strong_hashes", _never),
    "end-names": (checks, "end_names", _never),
    "key-usage": (profiles, "key_usage", lambda *_: ""),
    "extended-usage": (profiles, "extended_usage", lambda *_: ""),
    "policy-path": (checks, "policy_path", _never),
    "validity": (paths, "tell_moment", lambda store, _: store.set_flags(0x200000)),  # X509_V_FLAG_NO_CHECK_TIME
    "not-revoked": (chain, "not_revoked", _never),
    "mode-misfit": (contents, "mode_misfit", _never),
    "size-misfit": (contents, "size_misfit", _never),
    "attribute-misfit": (contents, "attribute_misfit", _never),
    "the tag holds": (contents, "tag_holds", _holds),
    "the padding fits": (contents, "padding_size", lambda _: 1),
    "smime.after-boundary": (coverage, "ends_early", _no),
    "smime.protocol": (coverage, "wrong_protocol", _no),
    "smime.micalg": (coverage, "contradicted", _no),
    "smime.type-contradicts": (coverage, "contradicts", _no),
    "header-doubts": (smime, "header_doubts", lambda _: iter(())),
    "from-differs": (smime, "names_another", _no),
    "header.differs": (protected, "_same", _holds),
}
"""Each check that is one function, and how to make it say that it has no objection."""


def guard_of(attack: Attack) -> str:
    return attack.guard or attack.check


def spoken_for(guard: str) -> set[str]:
    return {name for name, attack in ATTACKS.items() if guard_of(attack) == guard}


@pytest.fixture(scope="module")
def prepared() -> dict[str, bytes]:
    """Every attack, made while all checks are on."""
    return {name: attack.how() for name, attack in ATTACKS.items()}


@pytest.mark.parametrize("guard", GUARDS)
def test_with_a_check_off_exactly_its_attacks_get_by(
    guard: str, prepared: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others stay refused by the same check with the same fault."""
    module, name, silent = GUARDS[guard]
    monkeypatch.setattr(module, name, silent)
    red = {name for name, attack in ATTACKS.items() if _answer(attack, prepared[name]) != (attack.check, attack.fault)}
    assert red == spoken_for(guard)
    assert red


def _answer(attack: Attack, made: bytes) -> Answer:
    """With a check off, what comes after it may meet what it was never meant to: that is an answer here."""
    try:
        return ask_letter(made, attack.check) if attack.ask is ask_letter else attack.ask(made)
    except (LookupError, OverflowError, ValueError) as error:
        return "raised", type(error).__name__


ELSEWHERE = {
    "no reader takes them for a message": {"readable", "few-enough", "budget", "mime.two-parts", "smime.unreadable",
                                           "smime.signature-encoding", "smime.no-content", "smime.opaque-content",
                                           "smime.too-many-layers", "smime.too-many-signatures"},
    "another message, or a later one": {"signed-data", "supported", "not-for-us", "smime.second-part",
                                        "smime.certs-only", ""},
    "OpenSSL finds no path": {"issuer", "signature", "name-constraints", "path-length", "basic-constraints"},
    "the library opens nothing": {"cannot-open", UNWRAP},
    "what was walked is not the whole": {"smime.covers-a-part"},
}  # fmt: skip
"""Refusals that are no check of ours which could be switched off: there is nothing to go on with."""


def test_each_refusal_can_be_switched_off_or_is_said_to_be_elsewhere() -> None:
    """No check is without its attack, and no attack is held back by something that nobody named."""
    guards = {guard_of(each) for each in ATTACKS.values()}
    assert guards == set(GUARDS) | set().union(*ELSEWHERE.values())
    assert {name.replace("_", "-") for name in _SIGNERS} <= guards
