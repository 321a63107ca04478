"""One client's session: LDAP messages in, LDAP messages out (RFC 4511)."""

from collections.abc import Iterable, Iterator

from .accounts import Accounts, BindRefused
from .ber import ENUMERATED, SEQUENCE, SET, Element, Malformed, encode, integer, octets, sequence
from .filters import matches
from .tree import Entry, Tree

WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"

_BIND, _UNBIND, _SEARCH, _ABANDON, _EXTENDED = 0x60, 0x42, 0x63, 0x50, 0x77
_BIND_RESPONSE, _SEARCH_ENTRY, _SEARCH_DONE, _EXTENDED_RESPONSE = 0x61, 0x64, 0x65, 0x78
_REFUSED_RESPONSES = {0x66: 0x67, 0x68: 0x69, 0x4A: 0x6B, 0x6C: 0x6D, 0x6E: 0x6F}
"""Modify, add, delete, rename and compare, each with the tag of its answer."""

_SIMPLE, _RESPONSE_VALUE, _REQUEST_NAME = 0x80, 0x8B, 0x80
_BASE, _ONE, _SUBTREE = 0, 1, 2

_SUCCESS, _OPERATIONS_ERROR, _PROTOCOL_ERROR, _SIZE_LIMIT, _UNSUPPORTED = 0, 1, 2, 4, 7
_NO_SUCH_OBJECT, _INVALID_CREDENTIALS, _UNWILLING = 32, 49, 53

_NEEDS_BIND = (
    "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be "
    "completed on the connection., data 0, v4563\0"
)
_NEEDS_BASE_SCOPE = "00002120: LdapErr: DSID-0C090BE4, comment: Error processing search, data 0, v4563\0"


def _refusal(sub_code: str) -> str:
    return f"80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {sub_code}, v4563\0"


def _result(tag: int, code: int, message: str = "", *extra: bytes) -> bytes:
    """An LDAPResult (RFC 4511 4.1.9)."""
    return sequence([integer(code, ENUMERATED), octets(""), octets(message), *extra], tag)


class SessionEnded(Exception):
    """The client has said good-bye."""


class Session:
    """Anonymous until a bind succeeds, and again after one that fails."""

    def __init__(self, tree: Tree, accounts: Accounts) -> None:
        self._tree = tree
        self._accounts = accounts
        self._bound: Entry | None = None

    def answers(self, message: Element) -> Iterator[bytes]:
        """All messages that answer this one. Raises Malformed, and SessionEnded after an unbind."""
        self._tree.refresh()
        parts = message.children()
        if message.tag != SEQUENCE or len(parts) < 2:
            raise Malformed("no LDAP message")
        for answer in self._operation(parts[1]):
            yield sequence([encode(*parts[0]), answer])

    def _operation(self, request: Element) -> Iterable[bytes]:
        if request.tag == _UNBIND:
            raise SessionEnded
        if request.tag == _ABANDON:
            return []
        if request.tag == _BIND:
            return [self._bind(request)]
        if request.tag == _SEARCH:
            return self._search(request)
        if request.tag == _EXTENDED:
            return [self._extended(request)]
        if request.tag in _REFUSED_RESPONSES:
            return [_result(_REFUSED_RESPONSES[request.tag], _UNWILLING, "this directory is read-only")]
        raise Malformed("unknown operation")

    def _bind(self, request: Element) -> bytes:
        self._bound = None
        version, name, credentials = _exactly(request, 3)
        if version.integer() != 3:
            return _result(_BIND_RESPONSE, _PROTOCOL_ERROR, "LDAPv3 only")
        if credentials.tag != _SIMPLE:
            return _result(_BIND_RESPONSE, _UNSUPPORTED, "simple bind only")
        if not credentials.content:  # Windows takes a name without a password for an anonymous bind (RFC 4513 5.1.2)
            return _result(_BIND_RESPONSE, _SUCCESS)
        try:
            self._bound = self._accounts.authenticate(name.text(), credentials.content)
        except BindRefused as refused:
            return _result(_BIND_RESPONSE, _INVALID_CREDENTIALS, _refusal(refused.sub_code))
        return _result(_BIND_RESPONSE, _SUCCESS)

    def _extended(self, request: Element) -> bytes:
        names = [part.text() for part in request.children() if part.tag == _REQUEST_NAME]
        if names != [WHO_AM_I]:
            return _result(_EXTENDED_RESPONSE, _PROTOCOL_ERROR, "unknown extended operation")
        return _result(_EXTENDED_RESPONSE, _SUCCESS, "", octets(self._who_am_i(), _RESPONSE_VALUE))

    def _who_am_i(self) -> str:
        if self._bound is None:
            return ""
        return f"u:{self._tree.netbios_name}\\{self._bound.text('sAMAccountName')}"

    def _search(self, request: Element) -> Iterator[bytes]:
        base, scope, _, limit, _, _, condition, selection = _exactly(request, 8)
        wanted = [name.text() for name in selection.children()]
        if not base.content and scope.integer() == _BASE:
            yield _entry(self._root_dse(), wanted)
            yield _result(_SEARCH_DONE, _SUCCESS)
            return
        problem = self._problem(base.text(), scope.integer(), wanted)
        found = [] if problem else self._found(base.text(), scope.integer(), condition)
        if limit.integer() and len(found) > limit.integer():
            found, problem = found[: limit.integer()], _result(_SEARCH_DONE, _SIZE_LIMIT)
        for entry in found:
            yield _entry(self._with_token_groups(entry, wanted), wanted)
        yield problem or _result(_SEARCH_DONE, _SUCCESS)

    def _problem(self, base: str, scope: int, wanted: list[str]) -> bytes | None:
        if self._bound is None:
            return _result(_SEARCH_DONE, _OPERATIONS_ERROR, _NEEDS_BIND)
        if self._tree.get(base) is None:
            return _result(_SEARCH_DONE, _NO_SUCH_OBJECT, "0000208D: NameErr: DSID-03100245, problem 2001 (NO_OBJECT)")
        if scope != _BASE and "tokengroups" in (name.casefold() for name in wanted):
            return _result(_SEARCH_DONE, _OPERATIONS_ERROR, _NEEDS_BASE_SCOPE)
        return None

    def _found(self, base_dn: str, scope: int, condition: Element) -> list[Entry]:
        base = self._tree.get(base_dn)
        if base is None or scope not in (_BASE, _ONE, _SUBTREE):
            raise Malformed("no such scope")
        candidates = [base] if scope == _BASE else self._tree.below(base, one_level=scope == _ONE)
        return [entry for entry in candidates if matches(condition, entry, self._tree)]

    def _with_token_groups(self, entry: Entry, wanted: list[str]) -> Entry:
        """A constructed attribute: there only for those who ask for it by name."""
        if "tokengroups" not in (name.casefold() for name in wanted):
            return entry
        copy = Entry(entry.dn, dict(entry.attributes()))
        copy.set("tokenGroups", self._tree.token_groups(entry))
        return copy

    def _root_dse(self) -> Entry:
        return Entry(
            "",
            {
                "objectClass": ["top"],
                "defaultNamingContext": [self._tree.base_dn],
                "namingContexts": [self._tree.base_dn],
                "supportedLDAPVersion": ["3"],
                "supportedExtension": [WHO_AM_I],
                "supportedCapabilities": ["1.2.840.113556.1.4.800"],
                "tokenGroups": self._tree.token(self._bound),
            },
        )


def _exactly(request: Element, count: int) -> list[Element]:
    parts = request.children()
    if len(parts) != count:
        raise Malformed("wrong number of fields")
    return parts


def _entry(entry: Entry, wanted: list[str]) -> bytes:
    """A SearchResultEntry with the attributes that were asked for; none named, or `*`: all (RFC 4511 4.5.1.8)."""
    names = {name.casefold() for name in wanted}
    everything = not names or "*" in names
    attributes = [
        sequence([octets(name), sequence((octets(value) for value in values), SET)])
        for name, values in entry.attributes()
        if everything or name.casefold() in names
    ]
    return sequence([octets(entry.dn), sequence(attributes)], _SEARCH_ENTRY)
