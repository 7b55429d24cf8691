"""One question to `pli certs verify`: a file with all that it is judged by, asked once, kept, or asked again.

Promises: the same question has the same answer, whenever it is asked. Does not: judge (certs_answer does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from certs import cms, profiles
from certs.cms import SignerName
from gateway import certs_answer, certs_evidence, certs_files
from gateway.certs_answer import Answer, Asked
from gateway.certs_evidence import Rules
from gateway.certs_files import Thing, Trusting, Unreadable


@dataclass(frozen=True)
class Asking:
    thing: Thing
    data: bytes = field(repr=False)
    content: bytes | None = field(repr=False)
    trusting: Trusting
    signers: tuple[bytes, ...]
    rules: Rules

    def answer(self) -> Answer:
        policy = replace(cms.STRICT, without_attributes=self.rules.without_attributes)
        profile = profiles.named(self.rules.profile)
        store = self.trusting.store(self.rules.grace_hours)
        asked = Asked(store, self.rules.at, profile, policy, self._named if self.signers else None)
        return certs_answer.judged(self.thing, self.content, asked)

    def _named(self, name: SignerName) -> Sequence[bytes]:
        return [der for der in self.signers if name.names(der)]

    def keep(self, out: Path, *, with_file: bool) -> Answer:
        """Writes the evidence of the answer. Raises Unreadable."""
        answer = self.answer()
        certs_evidence.written(
            out, self.rules, self.trusting, self.signers, answer,
            lambda trusting: replace(self, trusting=trusting).answer(), self.data, self.content, with_file=with_file,
        )  # fmt: skip
        return answer


def asked(trusting: Trusting, file: str, options: dict[str, Any]) -> Asking:
    """From the options of the command. Raises Unreadable."""
    rules = Rules(options["at"], options["profile"], options["without_attributes"], options["grace"])
    return _asking(trusting, file, options["content"], certs_files.certificates(options["signers"]), rules)


def _asking(trusting: Trusting, file: str, content: str | None, signers: tuple[bytes, ...], rules: Rules) -> Asking:
    data = certs_files.raw(file)
    thing = certs_files.recognised(data)
    return Asking(thing, data, None if content is None else certs_files.raw(content), trusting, signers, rules)


def again(place: Path, file: str | None, content: str | None) -> Answer:
    """By an evidence folder. An answer that is not the one kept says so. Raises Unreadable."""
    kept = certs_evidence.read(place)
    beside = content or (certs_evidence.content(place) if file is None else None)
    asking = _asking(kept.trusting, file or certs_evidence.message(place), beside, kept.signers, kept.rules)
    if not certs_evidence.same(kept, asking.data, asking.content):
        raise Unreadable(f"{place} is evidence about another file, or another content")
    answer = asking.answer()
    if certs_answer.as_json(answer) == kept.answer:
        return answer
    return replace(answer, findings=(*answer.findings, "evidence.answer-differs"))
