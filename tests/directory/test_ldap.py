"""Looking up and searching a real slapd, and what is said when it is down, slow, wrong or odd."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from directory.address import parse
from directory.connection import needs_start_tls
from directory.ldap import LdapDirectory
from directory.model import Address, Capabilities, DirectoryDown, Found, Listing, NotFound
from gateway.demo.servers import Slapd

NORTH = "hopital-nord.mssante.example"
TOWN = "medecin.mssante.example"
KNOWN = parse(f"marie.martin@{TOWN}")
View = Callable[..., LdapDirectory]


def suggested(directory: LdapDirectory, address: str) -> list[str]:
    answer = directory.find(parse(address))
    assert isinstance(answer, NotFound)
    return [str(entry.address) for entry in answer.suggestions]


def found(directory: LdapDirectory, address: str) -> Found:
    answer = directory.find(parse(address))
    assert isinstance(answer, Found)
    return answer


# --- look-up ----------------------------------------------------------------------------------------------------


def test_a_known_address_is_found_without_case(directory: LdapDirectory) -> None:
    """The entry comes with its holder, its structure, what it takes, and where it comes from."""
    answer = found(directory, f"Marie.MARTIN@{TOWN.upper()}")
    entry = answer.entry
    assert entry.address == KNOWN
    assert (entry.display_name, entry.specialty) == ("Dr Marie MARTIN", "Cardiologie")
    assert len(entry.rpps) == 11
    assert entry.provenance.dn.startswith(f"mail={KNOWN},ou=bal,")
    assert not answer.others


def test_an_address_beyond_ascii_is_found(directory: LdapDirectory) -> None:
    """In an attribute of its own, since mail holds ASCII only; without case, and nobody for letters less accents."""
    entry = found(directory, "RENÉE@accents.example").entry
    assert str(entry.address) == "renée@accents.example"
    assert isinstance(directory.find(parse("renee@accents.example")), NotFound)
    assert isinstance(directory.find(parse("réné@accents.example")), NotFound)


def test_an_unknown_address_is_not_found(directory: LdapDirectory) -> None:
    """Nobody has the address, and nobody's is like it."""
    assert directory.find(parse("zzz@ailleurs.example")) == NotFound()


@pytest.mark.parametrize(
    "wrong",
    [f"marie.martn@{TOWN}", f"marie.martin@{TOWN.replace('medecin', 'medcin')}", f"mmartin@{TOWN}"],
)
def test_an_address_almost_right_is_suggested(directory: LdapDirectory, wrong: str) -> None:
    """A slip in the name or in the domain brings the right address first."""
    assert suggested(directory, wrong)[0] == str(KNOWN)


def test_a_red_listed_mailbox_is_found_and_never_suggested(directory: LdapDirectory) -> None:
    """Its exact address is routable; an address like it does not give it away."""
    assert found(directory, f"solange.discrete@{NORTH}").entry.red_list
    assert f"solange.discrete@{NORTH}" not in suggested(directory, f"solange.discret@{NORTH}")


def test_a_patient_is_never_asked_for(own_slapd: Slapd, view_of_relay: View) -> None:
    """A citizen's address is answered without the directory, which is not even running."""
    assert view_of_relay(own_slapd).find(parse("279035121518989@patient.mssante.fr")) == NotFound()


def test_two_places_of_one_person_are_one_mailbox(directory: LdapDirectory) -> None:
    """Two entries with one address and one RPPS: found, the other place told."""
    answer = found(directory, f"deux.lieux@{NORTH}")
    assert [entry.town for entry in answer.others] == ["Meaux"]
    assert not answer.several_holders


def test_two_holders_of_one_address_are_told(directory: LdapDirectory) -> None:
    """Two people with one address: found and said; nothing is assumed of who reads it."""
    answer = found(directory, f"garde@{NORTH}")
    assert answer.several_holders
    assert answer.entry.certificates == ()
    assert answer.entry.red_list
    assert answer.entry.capabilities == Capabilities(xdm=True, smime=None, mdn=False, max_bytes=10_000)


@pytest.mark.parametrize("name", ["ferme", "passe", "futur"])
def test_an_entry_out_of_force_is_not_there(directory: LdapDirectory, name: str) -> None:
    """Closed, expired and future mailboxes are not found, and said to be there and out of force."""
    answer = directory.find(parse(f"{name}.vie@{NORTH}"))
    assert isinstance(answer, NotFound)
    assert answer.closed


def test_an_address_of_nobody_is_not_said_to_be_closed(directory: LdapDirectory) -> None:
    """The twin: there never was such a mailbox."""
    answer = directory.find(parse(f"jamais.vu@{NORTH}"))
    assert isinstance(answer, NotFound)
    assert not answer.closed


def test_an_entry_inside_its_dates_is_there(directory: LdapDirectory) -> None:
    """The twin of the expired one."""
    assert found(directory, f"actuel.vie@{NORTH}")


def test_values_of_strangers_stay_values(directory: LdapDirectory) -> None:
    """Stars, brackets, backslashes come through; a NUL becomes a blank."""
    assert found(directory, f"bizarre@{NORTH}").entry.display_name == "a*b(c)\\d e"


def test_an_address_with_trailing_blanks_is_not_usable(directory: LdapDirectory) -> None:
    """LDAP ignores the blank, we do not: an entry whose address cannot be read strictly is not there."""
    assert isinstance(directory.find(parse(f"espace@{NORTH}")), NotFound)


@pytest.mark.parametrize("local", ["*", "mar*", "x)(mail=*", "x)(|(objectClass=*", "\\2a", "\x00", "é", "*)(uid=*"])
def test_no_address_is_a_filter(directory: LdapDirectory, local: str) -> None:
    """Characters of the filter language in an address only ever compare as themselves."""
    assert isinstance(directory.find(Address(local, TOWN)), NotFound)


# --- search -----------------------------------------------------------------------------------------------------


def listed(directory: LdapDirectory, text: str, limit: int = 100) -> Listing:
    answer = directory.search(text, limit)
    assert isinstance(answer, Listing)
    return answer


@pytest.mark.parametrize("text", ["martin marie", "MARTIN Marie", "màrtïn-marie", "mart mari"])
def test_homonyms_are_all_listed(directory: LdapDirectory, text: str) -> None:
    """Without accents, case or order, all who are called so come, told apart by place and profession."""
    entries = [entry for entry in listed(directory, text).entries if entry.family_name == "MARTIN"]
    assert len(entries) >= 5
    assert len({entry.rpps for entry in entries}) == len(entries)
    assert len({(entry.specialty, entry.structure, entry.town) for entry in entries}) == len(entries)


def test_a_red_listed_mailbox_is_never_listed(directory: LdapDirectory) -> None:
    """Even the relay, who may see it, does not show it."""
    assert listed(directory, "solange").entries == ()


def test_a_national_number_is_searched(directory: LdapDirectory) -> None:
    """RPPS and FINESS numbers are words like others."""
    rpps = found(directory, str(KNOWN)).entry.rpps
    assert [entry.address for entry in listed(directory, rpps).entries] == [KNOWN]


def test_a_long_list_is_cut_and_says_so(directory: LdapDirectory) -> None:
    """130 match: 100 come, and the answer says that more matched; as many as asked when fewer are asked."""
    assert (len(listed(directory, "foule").entries), listed(directory, "foule").truncated) == (100, True)
    assert (len(listed(directory, "foule", 7).entries), listed(directory, "foule", 7).truncated) == (7, True)
    assert not listed(directory, "foule12").truncated


@pytest.mark.parametrize("text", ["", "   ", "*", "()", "\\", "\x00", "*)(objectClass=*", "a" * 9000])
def test_a_search_of_signs_finds_nothing(directory: LdapDirectory, text: str) -> None:
    """Characters of the filter language are no words; nothing widens a search to everyone."""
    assert listed(directory, text) == Listing(())


# --- trouble ----------------------------------------------------------------------------------------------------


def test_a_directory_that_is_down_is_said(own_slapd: Slapd, view_of_relay: View) -> None:
    """Never started: both questions answer DirectoryDown, and nothing is raised."""
    view = view_of_relay(own_slapd)
    assert isinstance(view.find(KNOWN), DirectoryDown)
    assert isinstance(view.search("martin"), DirectoryDown)


def test_a_restart_is_not_noticed(own_slapd: Slapd, view_of_relay: View) -> None:
    """Kept connections that the server closed are replaced: every question after the restart is answered."""
    view = view_of_relay(own_slapd)
    for _ in range(2):
        own_slapd.start()
        with ThreadPoolExecutor(8) as threads:
            assert all(isinstance(answer, Found) for answer in threads.map(view.find, [KNOWN] * 40))
        own_slapd.stop()


def test_a_directory_comes_back(own_slapd: Slapd, view_of_relay: View) -> None:
    """Down while it is down, and not longer."""
    view = view_of_relay(own_slapd)
    own_slapd.start()
    assert isinstance(view.find(KNOWN), Found)
    own_slapd.stop()
    assert isinstance(view.find(KNOWN), DirectoryDown)
    own_slapd.start()
    assert isinstance(view.find(KNOWN), Found)


@pytest.mark.parametrize("change", [{"password": "faux"}, {"base": "dc=ailleurs"}, {"bind_dn": "", "password": ""}])
def test_a_wrong_setting_is_not_an_unknown_recipient(
    regional: Slapd, view_of_relay: View, change: dict[str, str]
) -> None:
    """A wrong password, a wrong base or no identity answers DirectoryDown: nobody's letter is refused for it."""
    assert isinstance(view_of_relay(regional, **change).find(KNOWN), DirectoryDown)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_silent_directory_is_down(own_slapd: Slapd, view_of_relay: View, silent_port: int) -> None:
    """A directory which accepts and does not answer is down after the time-out."""
    view = view_of_relay(replace(own_slapd, port=silent_port), timeout_s=0.2)
    assert isinstance(view.find(KNOWN), DirectoryDown)


def test_a_server_elsewhere_without_tls_is_not_used(regional: Slapd, view_of_relay: View) -> None:
    """The same server under a name which is not known for loopback: no TLS there, hence no password sent."""
    elsewhere = view_of_relay(regional, uri=regional.uri.replace("127.0.0.1", "127.1"))
    assert elsewhere.find(KNOWN) == DirectoryDown("PROTOCOL_ERROR")
    assert isinstance(view_of_relay(regional).find(KNOWN), Found)


@pytest.mark.parametrize("uri", ["ldap://annuaire.example", "ldap://10.0.0.1:389", "ldap://127.0.0.1.example"])
def test_clear_text_stays_on_the_machine(uri: str) -> None:
    """Towards another machine ldap:// is used with StartTLS only."""
    assert needs_start_tls(uri)


@pytest.mark.parametrize(
    "uri", ["ldap://127.0.0.1:389", "ldap://localhost", "ldaps://annuaire.example", "ldapi://%2Frun"]
)
def test_safe_ways_need_no_start_tls(uri: str) -> None:
    """Loopback, TLS from the first byte and Unix sockets are used as they are."""
    assert not needs_start_tls(uri)
