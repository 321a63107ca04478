"""Who could get a token, and who gets it: both answers over generated worlds."""

from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.accounts import UserGrants, chosen
from chalicelib.domain.client_application import AccessRule, ApplicationKey, ClientApplication, Subject, Whose
from chalicelib.domain.grant import Grant, GrantState, Holding, ReleaseHolding
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.domain.reach import reach
from chalicelib.domain.release import decide
from chalicelib.domain.stop import StopKind
from chalicelib.domain.token_exchange import TokenRefused
from chalicelib.domain.token_set import CloudAccount
from tests.samples import ALICE, APPLICATION, BOB, GRANT, KEY, NOW, PROVIDER

GROUPS = st.frozensets(st.sampled_from(["S-1-5-7", "S-1-5-8"]))
SCOPES = st.sets(st.sampled_from(["openid", "email", "files"])).map(lambda found: tuple(sorted(found)))
SOURCES = ["10.1.0.0/16", "10.2.0.0/16", "2001:db8::/32"]
RULES = st.builds(
    AccessRule,
    st.sampled_from(["northwind", "northwind", "other"]),
    SCOPES | st.just(("*",)),
    st.builds(Whose, st.booleans(), GROUPS, st.frozensets(st.sampled_from([ALICE.id, BOB.id]))),
    st.lists(st.sampled_from(SOURCES), max_size=2).map(tuple),
)
KEYS = st.sampled_from([None, NOW, NOW + 1]).map(lambda end: ApplicationKey("k", "ES256", {}, 0, end))
APPLICATIONS = st.builds(
    replace,
    st.just(APPLICATION),
    rules=st.lists(RULES, max_size=3).map(tuple),
    enabled=st.sampled_from([True, True, False]),
    keys=st.lists(KEYS, max_size=1).map(tuple),
)
PROVIDERS = st.builds(
    replace,
    st.just(PROVIDER),
    enabled=st.sampled_from([True, True, False]),
    is_deleted=st.sampled_from([False, False, True]),
    visible_to=st.just(()) | GROUPS.map(tuple),
    authorize_again_since=st.sampled_from([None, None, NOW - 1, NOW]),
    generation=st.sampled_from([1, 1, 2]),
)
ACCOUNTS = st.builds(CloudAccount, st.sampled_from(["a", "b", "x"]), st.sampled_from(["x", "y", "z"]))


def _held(states: list[tuple[GrantState, CloudAccount, tuple[str, ...], bool]]) -> tuple[Grant, ...]:
    return tuple(
        replace(
            GRANT,
            slot=f"slot{number}" if number else "",
            state=state,
            account=account,
            scopes=scopes,
            token_set=b"sealed" if has_tokens and state is not GrantState.REMOVED else None,
        )
        for number, (state, account, scopes, has_tokens) in enumerate(states)
    )


GRANTS = st.lists(
    st.tuples(st.sampled_from(GrantState), ACCOUNTS, SCOPES, st.sampled_from([True, True, False])), max_size=3
).map(_held)
STOPS = st.frozensets(st.sampled_from([k for k in StopKind if k is not StopKind.APPLICATION]), max_size=1)
SUBJECTS = st.builds(Subject, st.just(ALICE.id), GROUPS, st.sampled_from([False, False, True]))


def released(  # noqa: PLR0917 - a whole world
    application: ClientApplication,
    provider: Provider,
    subject: Subject,
    held: UserGrants,
    stops: frozenset[StopKind],
    source: str,
    account: str,
) -> Grant | None:
    """What a release of that call gives: the store picks the account, `decide` the rest."""
    grants = [grant for grant in held if grant.generation == provider.generation]
    preferred = held.preferred.get((provider.id, provider.generation))
    holding = Holding(provider, KEY, chosen(grants, preferred, account), ProviderHealth(provider.id))
    everything = ReleaseHolding(application, (subject.user_id,), subject, holding, stops)
    try:
        return decide(everything, provider_id=provider.id, source=source, account=account)[1]
    except TokenRefused:
        return None


def all_released(*world: object) -> set[str]:
    """The slots of all grants that some source, which the rules allow, gets by some account's name, or none."""
    application, _, _, held, _ = world
    sources = ["192.0.2.1", *(str(ip_network(block)[1]) for block in SOURCES)]
    words = {"", *(word for grant in held for word in (grant.account.subject, grant.account.label))}  # type: ignore[attr-defined]
    if not application.can_prove_itself(NOW):  # type: ignore[attr-defined]
        return set()
    found = (released(*world, source, word) for source in sources for word in words)  # type: ignore[arg-type]
    return {grant.slot for grant in found if grant is not None}


@settings(max_examples=400, deadline=None)
@given(APPLICATIONS, PROVIDERS, SUBJECTS, GRANTS, st.sampled_from([None, "", "slot1", "slot2"]), STOPS)
def test_r105_who_could_get_a_token_is_who_gets_it(  # noqa: PLR0917 - a whole world
    application: ClientApplication,
    provider: Provider,
    subject: Subject,
    grants: tuple[Grant, ...],
    preferred: str | None,
    stops: frozenset[StopKind],
) -> None:
    held = UserGrants(grants, {} if preferred is None else {(provider.id, provider.generation): preferred})
    reached = reach(application, provider, subject, held, stops=stops, now=NOW)
    got = all_released(application, provider, subject, held, stops)
    assert {grant.slot for grant in reached.accounts} == got if reached else not got
    if reached is not None:
        assert reached.could_fetch == (not reached.obstacles)
