"""What is kept with a session, encrypted under its cookie's value, which is not stored: only its browser opens it."""

from hashlib import sha256

from joserfc import jwe
from joserfc.jwk import OctKey

from chalicelib.domain.errors import IntegrityViolation
from chalicelib.domain.secret import Secret

from .id_token import MALFORMED

_HEADER = {"alg": "dir", "enc": "A256GCM"}


class SessionBox:
    """Implements `ports.SessionBox` by JWE (RFC 7516), with a key of 256 bits that the cookie's 256 make."""

    def seal(self, cookie: Secret, text: str) -> str:
        """See `ports.SessionBox`."""
        return jwe.encrypt_compact(_HEADER, text.encode(), _key(cookie))

    def open(self, cookie: Secret, sealed: str) -> str:
        """See `ports.SessionBox`."""
        try:
            opened = jwe.decrypt_compact(sealed, _key(cookie), algorithms=list(_HEADER.values()))
        except MALFORMED as error:
            raise IntegrityViolation(detail=type(error).__name__) from None
        return (opened.plaintext or b"").decode()


def _key(cookie: Secret) -> OctKey:
    # Another digest than the one by which the session is found
    return OctKey.import_key(sha256(f"session_box\n{cookie.reveal()}".encode()).digest())
