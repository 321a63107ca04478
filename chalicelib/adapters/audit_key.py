"""The key that authenticates the seals of the audit log: an HMAC key of KMS, which nobody can read."""

from typing import Any

from botocore.exceptions import ClientError

from .aws import kms_errors

_ALGORITHM = "HMAC_SHA_256"


class KmsAuditKey:
    """Implements `ports.AuditKey` with GenerateMac and VerifyMac of the key `key_id`."""

    def __init__(self, kms: Any, key_id: str) -> None:
        self._kms = kms
        self._key_id = key_id

    def mac(self, message: bytes) -> bytes:
        with kms_errors():
            answer = self._kms.generate_mac(KeyId=self._key_id, Message=message, MacAlgorithm=_ALGORITHM)
        return bytes(answer["Mac"])

    def is_valid(self, message: bytes, mac: bytes) -> bool:
        if not mac:
            # KMS refuses an empty one before it looks
            return False
        with kms_errors():
            try:
                answer = self._kms.verify_mac(KeyId=self._key_id, Message=message, MacAlgorithm=_ALGORITHM, Mac=mac)
            except ClientError as error:
                if error.response["Error"]["Code"] == "KMSInvalidMacException":
                    return False
                raise
        return bool(answer["MacValid"])
