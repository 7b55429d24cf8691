"""What the rest of the product may ask a directory, whatever holds it.

Promises: answers are values; a directory that does not answer is DirectoryDown, never an exception.
Does not: know LDAP (directory.ldap does).
"""

from __future__ import annotations

from typing import Protocol

from directory.model import Address, DirectoryDown, Listing, Lookup

SEARCH_LIMIT = 100
"""Entries of one search; then "narrow your search" (directory §6.5)."""


class Directory(Protocol):
    """Thread-safe."""

    def find(self, address: Address) -> Lookup:
        """The mailbox with exactly this address, without case; red-listed ones too."""

    def search(self, text: str, limit: int = SEARCH_LIMIT) -> Listing | DirectoryDown:
        """Mailboxes whose names, town or specialty hold every word of `text`; never red-listed ones."""
