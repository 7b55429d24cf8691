"""Looks sentences up: French first, English second.

Promises: a key that is unknown is an error, not an empty place. Does not: hold the sentences (gateway.web.sentences
does).
"""

from __future__ import annotations

from gateway.web.sentences import SENTENCES

LANGUAGES = ("fr", "en")


def said(key: str, language: str, **values: object) -> str:
    return SENTENCES[key][language != "fr"].format(**values)


def preferred(accepted: str) -> str:
    """Of Accept-Language (RFC 9110 §12.5.4): the first of ours by weight; French where none is."""
    wanted = []
    for place, item in enumerate(accepted.split(",")[:20]):
        tag, _, weight = item.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), place, tag.strip().lower()[:2]))
        except ValueError:
            continue
    return next((tag for weight, _, tag in sorted(wanted) if weight and tag in LANGUAGES), "fr")
