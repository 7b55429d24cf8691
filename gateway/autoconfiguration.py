"""What a mail client reads instead of asking its user: files of Thunderbird, Outlook and Apple Mail.

Promises: TLS in every file, from the first byte for IMAP; no person's address, so that one file is for all of a domain.
Does not: serve them (gateway.doors.autoconfig does), sign the Apple profile, or say how to get a password.
"""

from __future__ import annotations

import plistlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from lxml import etree

from gateway.config import Settings


@dataclass(frozen=True)
class Service:
    """One mail domain, as clients see it."""

    domain: str
    name: str
    imap: tuple[str, int]
    """TLS from the first byte."""
    submission: tuple[str, int]
    at_once: bool = False
    """TLS from the first byte there too (RFC 8314 §3.3), else STARTTLS."""


def service(settings: Settings, domain: str) -> Service:
    told, host = settings.clients, settings.node.hostname
    return Service(
        domain,
        told.name or host,
        (told.imap_host or host, told.imap_port),
        (told.submission_host or host, told.submissions_port or told.submission_port),
        at_once=told.submissions_port is not None,
    )


def files(of: Service) -> dict[str, bytes]:
    """File name -> content, one for each kind of client."""
    return {
        "config-v1.1.xml": thunderbird(of),
        "autodiscover.xml": outlook(of),
        f"{of.domain}.mobileconfig": apple(of),
    }


Leaves: TypeAlias = Sequence[tuple[str, str]]


def thunderbird(of: Service) -> bytes:
    """Mozilla's config-v1.1.xml; Thunderbird puts the address in the place of %EMAILADDRESS%."""
    root = etree.Element("clientConfig", version="1.1")
    provider = etree.SubElement(root, "emailProvider", id=of.domain)
    _leaves(provider, [("domain", of.domain), ("displayName", of.name), ("displayShortName", of.name)])
    places = (
        ("incomingServer", "imap", of.imap, "SSL"),
        ("outgoingServer", "smtp", of.submission, "SSL" if of.at_once else "STARTTLS"),
    )
    for tag, kind, (host, port), tls in places:
        # 'cleartext' is the password's form inside TLS
        how = [("socketType", tls), ("username", "%EMAILADDRESS%"), ("authentication", "password-cleartext")]
        _leaves(etree.SubElement(provider, tag, type=kind), [("hostname", host), ("port", str(port)), *how])
    return _written(root)


_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_OUTLOOK_SETTINGS = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


def outlook(of: Service) -> bytes:
    """Autodiscover's answer (MS-OXDSCLI §2.2.4); without a LoginName Outlook takes the address that was typed."""
    root = etree.Element(f"{{{_OUTLOOK}}}Autodiscover", nsmap=_unprefixed(_OUTLOOK))
    answer = etree.SubElement(root, f"{{{_OUTLOOK_SETTINGS}}}Response", nsmap=_unprefixed(_OUTLOOK_SETTINGS))
    account = etree.SubElement(answer, f"{{{_OUTLOOK_SETTINGS}}}Account")
    _leaves(account, [("AccountType", "email"), ("Action", "settings")], _OUTLOOK_SETTINGS)
    ways = (("IMAP", of.imap, "SSL"), ("SMTP", of.submission, "SSL" if of.at_once else "TLS"))
    for kind, (host, port), encryption in ways:
        protocol = etree.SubElement(account, f"{{{_OUTLOOK_SETTINGS}}}Protocol")
        said = [("Type", kind), ("Server", host), ("Port", str(port)), ("DomainRequired", "off"), ("SPA", "off")]
        _leaves(protocol, [*said, ("Encryption", encryption), ("AuthRequired", "on")], _OUTLOOK_SETTINGS)
    return _written(root)


def apple(of: Service) -> bytes:
    """A configuration profile, not signed; the address and the password are asked for when it is installed."""
    name = f"{of.domain}.mail"
    mail = {
        **_profile(name, "com.apple.mail.managed", of.name),
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAccountDescription": of.name,
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": of.imap[0],
        "IncomingMailServerPortNumber": of.imap[1],
        "IncomingMailServerUseSSL": True,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": of.submission[0],
        "OutgoingMailServerPortNumber": of.submission[1],
        "OutgoingMailServerUseSSL": True,
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    return plistlib.dumps({**_profile(of.domain, "Configuration", of.name), "PayloadContent": [mail]})


def _profile(name: str, kind: str, shown: str) -> dict[str, object]:
    """The same identity each time: a newer profile replaces the one before."""
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": ".".join(reversed(name.split("."))),
        "PayloadUUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)).upper(),
        "PayloadDisplayName": shown,
    }


def _unprefixed(namespace: str) -> Mapping[str, str]:
    return cast("Mapping[str, str]", {None: namespace})  # the library's types know no default namespace


def _leaves(parent: etree._Element, leaves: Leaves, namespace: str = "") -> None:
    for tag, text in leaves:
        etree.SubElement(parent, f"{{{namespace}}}{tag}" if namespace else tag).text = text


def _written(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
