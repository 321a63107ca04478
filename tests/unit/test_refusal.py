"""What a cloud's refusal means, and what is told of it."""

import pytest

from chalicelib.domain.authorization_request import ConsentProblem
from chalicelib.domain.errors import CloudMisconfigured, CloudRefusalUnclear, CloudUnavailable
from chalicelib.domain.refusal import Refusal, code_of_refusal, refusal_of, said, told_by
from chalicelib.domain.secret import Secret


@pytest.mark.parametrize(
    ("error", "description", "refusal", "code"),
    [
        ("access_denied", "", Refusal.DENIED, "access_denied"),
        ("interaction_required", "AADSTS50105: no", Refusal.NOT_ASSIGNED, "AADSTS50105"),
        ("access_denied", "User is not assigned to the client application.", Refusal.NOT_ASSIGNED, "access_denied"),
        ("interaction_required", "AADSTS50076: Due to a change", Refusal.SECOND_FACTOR, "AADSTS50076"),
        ("access_denied", "AADSTS53003: blocked", Refusal.REFUSED_BY_RULES, "AADSTS53003"),
        ("access_denied", "AADSTS530003: device", Refusal.DENIED, "AADSTS530003"),
        ("interaction_required", "AADSTS53000: device", Refusal.DEVICE_REFUSED, "AADSTS53000"),
        ("invalid_client", "AADSTS65001: nobody consented", Refusal.APPROVAL_NEEDED, "AADSTS65001"),
        ("access_denied", "AADSTS90094: an administrator", Refusal.APPROVAL_NEEDED, "AADSTS90094"),
        ("access_denied", "AADSTS65004: declined", Refusal.DENIED, "AADSTS65004"),
        ("access_denied", "AADSTS50057: disabled", Refusal.ACCOUNT_CLOSED, "AADSTS50057"),
        ("invalid_request", "AADSTS50020: of another tenant", Refusal.NOT_A_MEMBER, "AADSTS50020"),
        ("unauthorized_client", "AADSTS700016: not found", Refusal.MISCONFIGURED, "AADSTS700016"),
        ("access_denied", "MSIS9605: The client is not allowed", Refusal.MISCONFIGURED, "MSIS9605"),
        ("server_error", "MSIS9604: An error occurred.", Refusal.UNAVAILABLE, "MSIS9604"),
        ("login_required", "", Refusal.INTERACTION_NEEDED, "login_required"),
        ("temporarily_unavailable", "", Refusal.UNAVAILABLE, "temporarily_unavailable"),
        ("temporarily_unavailable", "authentication_expired", Refusal.INTERACTION_NEEDED, "temporarily_unavailable"),
        ("invalid_scope", "", Refusal.MISCONFIGURED, "invalid_scope"),
        ("<script>", "<b>AADSTS1</b>", Refusal.OTHER, ""),
        ("", "xAADSTS50105", Refusal.OTHER, ""),
    ],
)
def test_a_refusal_is_sorted_by_the_vendor_s_number_and_else_by_the_standard_s_word(
    error: str, description: str, refusal: Refusal, code: str
) -> None:
    assert (refusal_of(error, description), code_of_refusal(error, description)) == (refusal, code)


@pytest.mark.parametrize("refusal", Refusal)
def test_a_consent_can_fail_for_each(refusal: Refusal) -> None:
    assert ConsentProblem(refusal).value == refusal.value


def test_a_token_endpoint_s_answer_is_sorted_as_well() -> None:
    blocked = CloudRefusalUnclear("interaction_required", detail="interaction_required: AADSTS53003: blocked")
    assert told_by(blocked) == (Refusal.REFUSED_BY_RULES, "AADSTS53003")
    assert told_by(CloudMisconfigured("secret_unreadable")) == (Refusal.OTHER, "secret_unreadable")
    assert told_by(CloudUnavailable(detail="HTTP 503")) == (Refusal.OTHER, "")


def test_r17_what_was_said_is_logged_on_one_line_cut_and_without_secrets() -> None:
    description = "AADSTS50105: no\r\nstate the-state; code 0.AXoAabcdefghijklmnop1234 \u202e" + "x " * 300
    told = said("access_denied", description, hide=[Secret("the-state")])
    assert told.startswith("access_denied: AADSTS50105: no state ***; code 0.***")
    assert len(told) <= 200
    assert "\n" not in told
    assert "\u202e" not in told
