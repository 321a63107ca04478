"""Taking over what people have authorized in another vault: their refresh tokens, encrypted at once."""

from dataclasses import dataclass, replace

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, InvalidRequest, LoginRefused, NotFound
from chalicelib.domain.grant import Grant, GrantState
from chalicelib.domain.ids import is_directory_id
from chalicelib.domain.provider import Provider
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import AuditLog, Clock, Directory, GrantStore, TokenCipher, UserStore

from .generations import GenerationService
from .people import PeopleService, Person


@dataclass(frozen=True, slots=True)
class Imported:
    """One authorization as another vault had it. `user` is any name of the person; epoch seconds, None: not known."""

    user: str
    refresh_token: Secret
    account: CloudAccount
    scopes: tuple[str, ...]
    authorized_at: int | None = None


class GrantImportService:
    """Never writes over an authorization that is there: what a person gave here is newer."""

    def __init__(
        self,
        *,
        grants: GrantStore,
        generations: GenerationService,
        people: PeopleService,
        users: UserStore,
        directory: Directory,
        cipher: TokenCipher,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._grants = grants
        self._generations = generations
        self._people = people
        self._users = users
        self._directory = directory
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock

    def take(self, imported: Imported, provider_id: str, by: Actor, origin: Origin) -> Grant | None:
        """Store one; its access token is fetched with the first release. None: the person has authorized it already.

        Raises NotFound for an unknown provider or person, and for who may not log in; InvalidRequest where several
        people are called so, and where the person has another cloud account there; DirectoryUnavailable.
        """
        person = self._known(self._people.find(imported.user))
        holding = self._grants.load(person.id, provider_id)
        if holding.provider.is_ending:
            self._generations.carried_out(holding.provider)
            holding = self._grants.load(person.id, provider_id)
        if self._is_held(person, holding.provider, imported.account):
            return None
        now = self._clock.now()
        grant = Grant(
            user_id=person.id,
            user_name=person.name,
            provider_id=provider_id,
            generation=holding.provider.generation,
            version=holding.next_version(now),
            state=GrantState.ACTIVE,
            account=CloudAccount.named(imported.account.subject, imported.account.label),
            scopes=imported.scopes,
            expires_at=min(now, imported.authorized_at or now),
            authorized_at=min(now, imported.authorized_at or now),
            state_at=now,
            server=holding.provider.server_id,
        )
        tokens = TokenSet(Secret(""), imported.refresh_token, grant.expires_at, grant.scopes)
        with self._cipher.unlock(holding.key) as box:
            sealed = box.encrypt(tokens.to_bytes(), grant.encryption_context())
        try:
            with self._audit_log.recording(_event(grant, by, origin)):
                replaces = holding.grant.version if holding.grant else None
                self._grants.save(replace(grant, token_set=sealed), replaces=replaces, ended=grant.version - 1)
        except Conflict:
            return None
        return grant

    def _is_held(self, person: Person, provider: Provider, account: CloudAccount) -> bool:
        """Which account is the default, and that none stands in two places, is decided at a consent alone."""
        held = self._grants.at(person.id, provider.id, provider.generation)
        if held.holds(CloudAccount.named(account.subject, account.label).subject):
            return True
        if held.holds(None):
            raise InvalidRequest(
                f"This person has another cloud account at {provider.name} here. An import takes the first one only: "
                "the person adds further ones with “Add another account”."
            )
        return False

    def _known(self, person: Person) -> Person:
        """The person with a record, as the directory has them: names, groups and the sweep count from now on.

        Of a directory that cannot be asked about others only the id is known until the first log-in.
        """
        if self._users.get(person.id) is not None:
            return person
        try:
            user = self._directory.person(person.id)
        except LoginRefused as refused:
            if refused.cause == "not_asked" or not is_directory_id(person.id):
                return person
            if refused.cause == "no_such_account":
                raise NotFound("No directory has anybody with this id.") from None
            raise NotFound("This person's account may not use the vault.") from None
        self._users.enrol(user, sessions_until=0, at=self._clock.now())
        return self._people.with_id(person.id)


def _event(grant: Grant, by: Actor, origin: Origin) -> AuditEvent:
    return AuditEvent(
        AuditTag.GRANT_IMPORTED,
        Outcome.SUCCESS,
        by.id,
        origin,
        grant.user_id,
        grant.provider_id,
        {"account": grant.account.label},
        actor_name=by.name,
        user_name=grant.user_name,
    )
