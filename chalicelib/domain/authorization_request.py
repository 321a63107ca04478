"""One pending trip to a cloud."""

from dataclasses import dataclass
from enum import StrEnum

from .authorization_server import AuthorizationServer
from .errors import VaultError
from .grant import FIRST_SLOT

LIFETIME_SECONDS = 10 * 60


class ConsentProblem(StrEnum):
    """Why a trip to a cloud brought no authorization. The pages have a sentence for each."""

    DENIED = "denied"
    EXPIRED = "expired"
    USED = "used"
    FOREIGN = "foreign"
    WRONG_SERVER = "wrong_server"
    NOT_ASSIGNED = "not_assigned"
    NOT_A_MEMBER = "not_a_member"
    ACCOUNT_CLOSED = "account_closed"
    DEVICE_REFUSED = "device_refused"
    REFUSED_BY_RULES = "refused_by_rules"
    SECOND_FACTOR = "second_factor"
    APPROVAL_NEEDED = "approval_needed"
    INTERACTION_NEEDED = "interaction_needed"
    CLOUD_ERROR = "cloud_error"
    CLOUD_UNAVAILABLE = "cloud_unavailable"
    CLOUD_ANSWER_INVALID = "cloud_answer_invalid"
    CLOCKS_DIFFER = "clocks_differ"
    MISCONFIGURED = "misconfigured"
    PROVIDER_CHANGED = "provider_changed"
    NOT_SAVED = "not_saved"
    NOT_STORABLE = "not_storable"
    """What the cloud gave is larger than the vault can hold."""


class ConsentFailed(VaultError):
    """A trip ended without an authorization; an earlier one, if there was one, is untouched."""

    code = "consent_failed"
    message = "The authorization was not completed."

    def __init__(self, problem: ConsentProblem, *, detail: str = "", cloud: str = "", cloud_code: str = "") -> None:
        """`cloud`: what became of tokens that had been received, in the words of `RevocationOutcome`.

        `cloud_code`: the cloud's own code, which a help desk can look up; fit to be shown.
        """
        self.problem = problem
        self.cloud = cloud
        self.cloud_code = cloud_code
        super().__init__(detail=detail or problem.value)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Who started the trip, in which browser, to where. Hashes are SHA-256 in hex, times epoch seconds.

    Consumed by one conditional delete before the code is exchanged; bound to the user, the browser's flow
    cookie and the provider (R37, R38); the server, client id and scopes are the ones of the start (R41).
    """

    state_hash: str
    flow_hash: str
    user_id: str
    provider_id: str
    generation: int
    server: AuthorizationServer
    client_id: str
    scopes: tuple[str, ...]
    redirect_uri: str
    nonce: str
    code_verifier: bytes
    """The PKCE verifier (RFC 7636), encrypted in `verifier_context()`."""
    created_at: int
    slot: str = FIRST_SLOT
    """Where the grant goes: the person's first cloud account there, or which other one."""
    is_test: bool = False
    """An administrator tries the provider: what comes back is shown, and nothing of it is stored."""

    @property
    def expires_at(self) -> int:
        return self.created_at + LIFETIME_SECONDS

    def verifier_context(self) -> dict[str, str]:
        return {
            "purpose": "pkce-verifier",
            "request": self.state_hash,
            "user": self.user_id,
            "provider": self.provider_id,
            "generation": str(self.generation),
        }

    def check_issuer(self, iss: str | None) -> None:
        """Compare the `iss` of the authorization response with the server's issuer (RFC 9207 2.4, R40).

        Raises ConsentFailed when it is another one, or missing although the server promised it.
        """
        missing = iss is None and self.server.iss_parameter_promised
        foreign = iss is not None and self.server.issuer is not None and iss != self.server.issuer
        if missing or foreign:
            raise ConsentFailed(ConsentProblem.WRONG_SERVER)
