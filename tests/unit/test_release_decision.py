"""Whether a token may be released: each ground for a refusal, and which one is said where several apply."""

from dataclasses import replace

import pytest

from chalicelib.domain.aliases import aliases_of, normalized
from chalicelib.domain.client_application import Subject, Whose
from chalicelib.domain.grant import GrantReason, GrantState, Holding, ReleaseHolding
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.domain.release import decide
from chalicelib.domain.stop import StopKind
from chalicelib.domain.token_exchange import RefusalReason, TokenRefused
from tests.samples import ALICE, APPLICATION, BOB, GRANT, KEY, NOW, PROVIDER, RULE

HOLDING = Holding(PROVIDER, KEY, GRANT, ProviderHealth("northwind"))
HELD = ReleaseHolding(APPLICATION, (ALICE.id,), Subject(ALICE.id), HOLDING)
ONLY_BOB = replace(APPLICATION, rules=(replace(RULE, whose=Whose(users=frozenset({BOB.id}))),))
STAFF = replace(APPLICATION, rules=(replace(RULE, whose=Whose(groups=frozenset({"S-1-5-32"}))),))

STOPS = (StopKind.EVERYTHING, StopKind.PROVIDER, StopKind.PERSON, StopKind.OWN)


def grant(**changes: object) -> ReleaseHolding:
    return replace(HELD, holding=replace(HOLDING, grant=replace(GRANT, **changes)))  # type: ignore[arg-type]


def reason(held: ReleaseHolding, **how: object) -> RefusalReason | None:
    try:
        decide(held, provider_id="northwind", source="10.1.2.3", **how)  # type: ignore[arg-type]
    except TokenRefused as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (HELD, None),
        (grant(state=GrantState.FAILING), None),
        (replace(HELD, application=None), RefusalReason.BLOCKED),
        (replace(HELD, application=APPLICATION.stopped("x", NOW)), RefusalReason.BLOCKED),
        (replace(HELD, application=replace(APPLICATION, rules=())), RefusalReason.APP_NOT_ALLOWED),
        (replace(HELD, holding=None), RefusalReason.APP_NOT_ALLOWED),
        (replace(HELD, application=ONLY_BOB), RefusalReason.APP_NOT_ALLOWED),
        (replace(HELD, application=STAFF), RefusalReason.APP_NOT_ALLOWED),
        (replace(HELD, application=STAFF, subject=Subject(ALICE.id, ALICE.groups)), None),
        (replace(HELD, owners=(), subject=None), RefusalReason.NOT_CONNECTED),
        (replace(HELD, application=ONLY_BOB, owners=(), subject=None), RefusalReason.APP_NOT_ALLOWED),
        (replace(HELD, owners=(ALICE.id, BOB.id), subject=None), RefusalReason.AMBIGUOUS_SUBJECT),
        (replace(HELD, application=STAFF, owners=("1", "2"), subject=None), RefusalReason.APP_NOT_ALLOWED),
        (replace(HELD, subject=Subject(ALICE.id, is_blocked=True)), RefusalReason.BLOCKED),
        (
            replace(HELD, application=ONLY_BOB, subject=Subject(ALICE.id, is_blocked=True)),
            RefusalReason.APP_NOT_ALLOWED,
        ),
        (replace(HELD, holding=replace(HOLDING, provider=replace(PROVIDER, enabled=False))), RefusalReason.BLOCKED),
        (
            replace(HELD, holding=replace(HOLDING, provider=replace(PROVIDER, visible_to=("S-1-5-32-9",)))),
            RefusalReason.BLOCKED,
        ),
        *((replace(HELD, stops=frozenset({kind})), RefusalReason.BLOCKED) for kind in STOPS),
        (replace(HELD, application=ONLY_BOB, stops=frozenset(STOPS)), RefusalReason.BLOCKED),
        *(
            (replace(HELD, application=ONLY_BOB, stops=frozenset({kind})), RefusalReason.APP_NOT_ALLOWED)
            for kind in (StopKind.PROVIDER, StopKind.PERSON, StopKind.OWN)
        ),
        (replace(HELD, holding=replace(HOLDING, grant=None)), RefusalReason.NOT_CONNECTED),
        (grant(token_set=None, state=GrantState.REMOVED), RefusalReason.NOT_CONNECTED),
        (grant(state=GrantState.NEEDS_REAUTHORIZATION), RefusalReason.NEEDS_REAUTHORIZATION),
        (grant(scopes=("openid", "email", "files")), RefusalReason.APP_NOT_ALLOWED),
    ],
)
def test_r74_r76_every_ground(held: ReleaseHolding, expected: RefusalReason | None) -> None:
    assert reason(held) is expected


@pytest.mark.parametrize("kind", STOPS)
def test_the_ledger_is_told_what_was_stopped(kind: StopKind) -> None:
    with pytest.raises(TokenRefused) as refusal:
        decide(replace(HELD, stops=frozenset({kind})), provider_id="northwind", source="-")
    assert refusal.value.detail == kind.value


def test_a_wish_for_scopes_or_an_account_only_narrows() -> None:
    assert reason(HELD, scopes=("email",), account="cloud-alice") is None
    assert reason(HELD, account=GRANT.account.label) is None
    assert reason(HELD, account="cloud-bob") is RefusalReason.NOT_CONNECTED
    with pytest.raises(TokenRefused) as refusal:
        decide(HELD, provider_id="northwind", source="-", scopes=("files", "email", "mail"))
    assert (refusal.value.reason, refusal.value.missing) == (RefusalReason.MISSING_SCOPES, ("files", "mail"))


@pytest.mark.parametrize("word", RefusalReason)
def test_every_refusal_has_an_oauth_error_and_a_sentence(word: RefusalReason) -> None:
    known = {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "invalid_scope",
        "unsupported_grant_type",
    }
    assert word.error in known | {"temporarily_unavailable"}
    assert word.sentence.endswith(".")


class TestAliases:
    def test_all_spellings_of_a_name_are_one(self) -> None:
        assert normalized(" CONTOSO\\Zoe\u0308 ") == normalized("contoso\\zoë")
        assert aliases_of(ALICE) == ("contoso\\alice", "alice@contoso.example")
        assert aliases_of(replace(ALICE, email="")) == ("contoso\\alice",)

    @pytest.mark.parametrize("name", ["", " ", "a\x00b", "a\nb", "x" * 321])
    def test_what_no_name_can_be_is_none(self, name: str) -> None:
        assert normalized(name) == ""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (ALICE.id, True),
            ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
            ("S-1-5-", False),
            ("s-1-5-21", False),
            ("contoso\\alice", False),
            ("S-1-5-21-1\n", False),
        ],
    )
    def test_an_id_is_no_alias(self, name: str, expected: bool) -> None:
        assert is_person_id(name) == expected


def test_reasons_of_a_state_are_for_the_log_alone() -> None:
    with pytest.raises(TokenRefused) as refusal:
        decide(
            grant(state=GrantState.NEEDS_REAUTHORIZATION, reason=GrantReason.REFUSED_BY_CLOUD),
            provider_id="northwind",
            source="-",
        )
    assert refusal.value.detail == "refused_by_cloud"
