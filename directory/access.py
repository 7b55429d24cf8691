"""Who may see and do what in a regional directory: slapd's access rules (slapd.access(5)), one function each.

Promises: anonymous readers see nothing; professionals and the help desk see all but the red list, a hundred entries a
search, without paging; a delegate sees what kinds of mailboxes are where, and no name or address; an establishment's
administrator sees and changes its own subtree alone, by one rule for all establishments, and no address or type that
stands; the gateway's own identity sees nothing but may act as an administrator, the help desk or a delegate (RFC 4370);
the relay and the feeder see the red list; only the feeder, and a replica's identity, see all.
Does not: make identities (directory.slapd does).
"""

from __future__ import annotations

from directory.entries import RED_BRANCH

RELAY = "cn=relais"
PEOPLE = "cn=annuaire"
FEEDER = "cn=gestion"
GATEWAY = "cn=passerelle"
SUPPORT = "cn=assistance"
DELEGATE = "cn=delegue"
REPLICA = "cn=replique"
ADMINISTRATOR = "cn=admin"
TENANTS = "ou=etablissements"
"""Below it each establishment has a subtree with its mailboxes and its administrator."""

SEARCH_LIMIT = 100
"""Entries of one search for professionals (directory §6.5)."""

ADOPTION = ("entry", "objectClass", "mssType", "o", "l", "postalCode", "pliDomain", "lifecycleState", "dataSource")
"""What a delegate may read: where mailboxes are, not whose."""

_STANDING = "mail,mssAdresse,mssType"


def rules(suffix: str) -> list[str]:
    """Lines of slapd.conf. The first rule that matches an entry decides."""
    lines = [
        _secrets(suffix),
        _trusted(suffix),
        _fixed_red(suffix),
        _own_red(suffix),
        _red_branch(suffix),
        _red_mark(suffix),
        _adoption(suffix),
    ]
    lines += [_fixed(suffix), _tenants(suffix), _region(suffix)]
    return [line for rule in lines for line in rule]


def limits(suffix: str) -> list[str]:
    """How much one search gives, so that nobody walks through the whole region."""
    return [
        f'limits dn.exact="{FEEDER},{suffix}" size=unlimited time=unlimited',
        f'limits dn.exact="{REPLICA},{suffix}" size=unlimited time=unlimited',
        f'limits dn.exact="{RELAY},{suffix}" size=10000 time=30',
        # Its own subtree is all that it sees: there it may page.
        f'limits dn.regex="{_administrators(suffix)}" size.soft=500 size.hard=500 size.prtotal=unlimited time=30',
        f'limits dn.exact="{DELEGATE},{suffix}" size.soft=500 size.hard=500 size.prtotal=unlimited time=30',
        f"limits * size.soft={SEARCH_LIMIT} size.hard={SEARCH_LIMIT} size.prtotal=disabled time=30",
    ]


def acts_for(suffix: str) -> list[str]:
    """The values of authzTo with which the gateway may act as any administrator, as the help desk and as the delegate,
    and as nobody else."""
    exact = [f"dn.exact:{each},{suffix}" for each in (SUPPORT, DELEGATE)]
    return [f"dn.regex:{_administrators(suffix)}", *exact]


def _administrators(suffix: str) -> str:
    return f"^{ADMINISTRATOR},ou=[^,]+,{TENANTS},{suffix}$"


def _subtrees(suffix: str) -> str:
    """The second group is the establishment's name."""
    return f'dn.regex="^(.+,)?ou=([^,]+),{TENANTS},{suffix}$"'


def _own(suffix: str, level: str) -> str:
    return f'  by dn.exact,expand="{ADMINISTRATOR},ou=$2,{TENANTS},{suffix}" {level}'


def _by(suffix: str, *rdns: str, level: str = "read") -> list[str]:
    return [f'  by dn.exact="{rdn},{suffix}" {level}' for rdn in rdns]


def _secrets(suffix: str) -> list[str]:
    return [
        "access to attrs=userPassword",
        *_by(suffix, FEEDER, level="=w"),
        *_by(suffix, REPLICA),
        "  by anonymous auth",
        "  by * none",
        # Whoever could write it could act for others.
        "access to attrs=authzTo,authzFrom",
        *_by(suffix, REPLICA),
        "  by * auth",
    ]


def _trusted(suffix: str) -> list[str]:
    """Those that see all come to no further rule: each of the next ones compares each attribute of each entry with an
    expression, and the path of every letter would pay for it."""
    return [
        f'access to dn.subtree="{suffix}"',
        *_by(suffix, RELAY, REPLICA),
        *_by(suffix, FEEDER, level="write"),
        "  by * break",
    ]


def _fixed_red(suffix: str) -> list[str]:
    """As `_fixed`, for those that others do not see."""
    red = f"access to {_subtrees(suffix)} filter=(mssListeRouge=TRUE) attrs={_STANDING}"
    return [red, _own(suffix, "read"), "  by * none"]


def _own_red(suffix: str) -> list[str]:
    return [
        f"access to {_subtrees(suffix)} filter=(mssListeRouge=TRUE)",
        _own(suffix, "write"),
        "  by * none",
    ]


def _red_branch(suffix: str) -> list[str]:
    """For entries below it, marked or not, it is as if there were none."""
    return [f'access to dn.subtree="{RED_BRANCH},{suffix}"', "  by * none"]


def _red_mark(suffix: str) -> list[str]:
    """Since an entry may be marked before it is moved."""
    return [f'access to dn.subtree="{suffix}" filter=(mssListeRouge=TRUE)', "  by * none"]


def _adoption(suffix: str) -> list[str]:
    names = ",".join(ADOPTION)
    return [f'access to dn.subtree="{suffix}" attrs={names}', *_by(suffix, DELEGATE), "  by * break"]


def _fixed(suffix: str) -> list[str]:
    """Address and type of a mailbox that stands do not change (operator §1.3)."""
    lines = [f"access to {_subtrees(suffix)} attrs={_STANDING}", _own(suffix, "read")]
    return [*lines, *_by(suffix, PEOPLE, SUPPORT), "  by * none"]


def _tenants(suffix: str) -> list[str]:
    return [
        f"access to {_subtrees(suffix)}",
        _own(suffix, "write"),
        *_by(suffix, PEOPLE, SUPPORT),
        "  by * none",
    ]


def _region(suffix: str) -> list[str]:
    return [f'access to dn.subtree="{suffix}"', *_by(suffix, PEOPLE, SUPPORT), "  by * none"]
