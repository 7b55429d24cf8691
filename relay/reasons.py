"""Why a letter or a recipient is refused, delayed or given up: names, each once.

Promises: a reason is added here and in gateway/doors/replies.py, which gives it its SMTP reply and its sentences.
Does not: hold filing reasons (dmp_bridge.model.FilingReason). Imported from relay.model, like the other nouns.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a letter or a recipient is refused, delayed or given up. gateway/doors/replies.py gives each its SMTP reply
    and its French and English sentence. Filing reasons stand in dmp_bridge.model.FilingReason."""

    UNKNOWN_RECIPIENT = "recipient.unknown"
    RECIPIENT_SYNTAX = "recipient.syntax"
    RECIPIENT_CLOSED = "recipient.closed"
    NOT_LISTED = "recipient.domain-not-listed"
    NO_RELAY = "recipient.no-relay"
    TOO_MANY_RECIPIENTS = "recipient.too-many"
    TOO_LARGE_FOR_ROUTE = "recipient.too-large"
    OPPOSED = "recipient.opposed"
    PATIENT_NOT_QUALIFIED = "recipient.patient-not-qualified"
    NO_CERTIFICATE = "encryption.no-certificate"
    ENCRYPTION_NOT_TAKEN = "encryption.not-taken"
    DIRECTORY_DOWN = "directory.down"
    AUTH_REQUIRED = "auth.required"
    AUTH_FAILED = "auth.failed"
    TLS_REQUIRED = "tls.required"
    SENDER_SYNTAX = "sender.syntax"
    SENDER_NOT_ALLOWED = "sender.not-allowed"
    FROM_AMBIGUOUS = "from.ambiguous"
    FROM_NOT_ALLOWED = "from.not-allowed"
    PEER_NO_CERTIFICATE = "peer.no-certificate"
    PEER_UNTRUSTED = "peer.untrusted"
    PEER_CANNOT_TELL = "peer.cannot-tell"
    PEER_NOT_LISTED = "peer.not-listed"
    WHITE_LIST_STALE = "white-list.stale"
    BARE_LINE_END = "message.bare-line-end"
    TOO_LARGE = "message.too-large"
    MALFORMED = "message.malformed"
    LOOP = "message.loop"
    INFECTED = "message.infected"
    SCAN_UNABLE = "scan.unable"
    DISK_FULL = "store.disk-full"
    STORE_DOWN = "store.down"
    KEEPER_DOWN = "keeper.down"
    NO_KEY = "keeper.no-key"
    PEER_UNREACHABLE = "peer.unreachable"
    DNS_DOWN = "dns.down"
    DOMAIN_UNKNOWN = "domain.unknown"
    DOMAIN_NO_MAIL = "domain.no-mail"
    DOMAIN_NO_HOST = "domain.no-host"
    DOMAIN_LOOPS = "domain.loops-to-us"
    PEER_REFUSED_TLS = "peer.refused-tls"
    PEER_REFUSED = "peer.refused"
    PEER_DELAYED = "peer.delayed"
    PEER_NO_8BIT = "peer.no-8bitmime"
    PEER_NO_REQUIRETLS = "peer.no-requiretls"
    PEER_NO_SMTPUTF8 = "peer.no-smtputf8"
    UTF8_NOT_ASKED = "smtputf8.not-asked"
    NO_ROUTE = "route.none"
    MAILBOX_REFUSED = "mailbox.refused"
    MAILBOX_DELAYED = "mailbox.delayed"
    EXPIRED = "queue.expired"
    COLLECTOR_LOST = "collector.lost"
    COLLECTOR_DENIED = "collector.denied"
    SURPRISE = "surprise"
