"""Secrets that administrators keep in AWS Secrets Manager."""

import json
import time

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.secret import Secret

from .aws import AwsClients

KEPT_SECONDS = 300
"""A secret that was changed counts after this time at the latest."""


class SecretUnreadable(Exception):
    """The secret is not there, may not be read, or holds nothing. The text names the error code alone."""


class SecretsManager:
    """Reads secrets by name or ARN and keeps each for some minutes in this process."""

    def __init__(self, aws: AwsClients) -> None:
        self._aws = aws
        self._kept: dict[str, tuple[float, Secret]] = {}

    def read(self, name: str, *, anew: bool = False) -> Secret:
        """The text of a secret, or its member `password` where it is JSON. Raises SecretUnreadable."""
        until, secret = self._kept.get(name, (0.0, Secret("")))
        if anew or time.monotonic() >= until:
            secret = Secret(_password(self._fetch(name)))
            self._kept[name] = time.monotonic() + KEPT_SECONDS, secret
        return secret

    def _fetch(self, name: str) -> str:
        try:
            answer = self._aws.secrets_manager.get_secret_value(SecretId=name)
        except ClientError as error:
            raise SecretUnreadable(error.response["Error"]["Code"]) from None
        except BotoCoreError as error:
            raise SecretUnreadable(type(error).__name__) from None
        return str(answer.get("SecretString") or "")


def _password(text: str) -> str:
    """Rotation functions of AWS keep `{"username": ..., "password": ...}`."""
    try:
        described = json.loads(text)
    except ValueError:
        described = text
    password = described.get("password") if isinstance(described, dict) else text
    if not isinstance(password, str) or not password.strip():
        raise SecretUnreadable("empty")
    return password
