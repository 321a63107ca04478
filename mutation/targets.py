"""Which modules are mutated, and which tests must notice."""

TARGETS: dict[str, tuple[str, ...]] = {
    "chalicelib.domain.access": ("tests/unit/test_domain.py", "tests/unit/test_web_toolkit.py"),
    "chalicelib.domain.session": ("tests/unit/test_sessions_service.py", "tests/unit/test_domain.py"),
    "chalicelib.services.sessions": ("tests/unit/test_sessions_service.py",),
    "chalicelib.web.csrf": ("tests/unit/test_web_toolkit.py",),
    "chalicelib.domain.authorization_request": (
        "tests/unit/test_consent_service.py",
        "tests/unit/test_authorization_request.py",
    ),
    "chalicelib.services.consent": ("tests/unit/test_consent_service.py",),
    "chalicelib.adapters.token_cipher": ("tests/contract/test_token_cipher.py",),
    "chalicelib.services.refresh": (
        "tests/unit/test_refresh_service.py",
        "tests/unit/test_lost_answers.py",
        "tests/unit/test_event_service.py",
    ),
    "chalicelib.domain.release": ("tests/unit/test_release_decision.py",),
    "chalicelib.domain.client_application": (
        "tests/unit/test_client_application.py",
        "tests/unit/test_release_decision.py",
    ),
    "chalicelib.domain.assertions": ("tests/unit/test_assertions.py",),
    "chalicelib.domain.reach": ("tests/unit/test_reach_service.py",),
    "chalicelib.services.reach": ("tests/unit/test_reach_service.py",),
    "chalicelib.services.token_exchange": ("tests/unit/test_token_exchange_service.py",),
}
"""Sessions, consent, cipher, refresh, and who gets a token."""

GOAL = 0.9
"""Of all mutants at least so many are noticed."""
