"""`python -m dev.seed`: an empty AWS gets tables, two KMS keys, a secret, a mail sender and the one provider.

Prints one line of JSON: {"ready": true, "environment": {...}}, the settings that only now are known.
"""

import json
import os

from chalicelib.adapters.aws import AwsClients
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.secret import Secret
from chalicelib.settings import Settings
from chalicelib.stores import tables
from dev.stack import EVENT_ARCHIVE, PROVIDER_ID, SERVICE_PASSWORD, SERVICE_SECRET, SIGN_IN_SECRET

PROVIDER_NAME = "Northwind Cloud"
SCOPES = ("openid", "profile", "email", "offline_access")


def main() -> None:
    aws = AwsClients.create()
    key = aws.kms.create_key(Description="Token Vault, local stage")["KeyMetadata"]["Arn"]
    audit_key = aws.kms.create_key(
        Description="Token Vault, local stage, seals", KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256"
    )["KeyMetadata"]["Arn"]
    environment = {"VAULT_KMS_KEY": key, "VAULT_AUDIT_KEY": audit_key}
    settings = Settings.from_environment({**os.environ, **environment})
    create_tables(aws, settings)
    for name in {SERVICE_SECRET, *(one.service_secret for one in settings.directories if one.service_secret)}:
        password = SERVICE_PASSWORD if name == SERVICE_SECRET else os.environ.get("DIRECTORY_PASSWORD") or "?"
        aws.secrets_manager.create_secret(Name=name, SecretString=password)
    aws.secrets_manager.create_secret(Name=SIGN_IN_SECRET, SecretString=os.environ["DEV_CLOUD_CLIENT_SECRET"])
    prepare_mailbox(aws, settings)
    register_cloud(create_vault(settings, aws=aws))
    print(json.dumps({"ready": True, "environment": environment}), flush=True)


def create_tables(aws: AwsClients, settings: Settings) -> None:
    """The three tables under the names of the settings."""
    for name, table in (
        (settings.table, tables.VAULT),
        (settings.keys_table, tables.KEYS),
        (settings.sessions_table, tables.SESSIONS),
    ):
        aws.dynamodb.create_table(**table.create_arguments(name))


def prepare_mailbox(aws: AwsClients, settings: Settings) -> None:
    """The sender as SES verifies one, and an archive of the bus, so that the mailbox shows what came."""
    aws.mail.create_email_identity(EmailIdentity=settings.mail_from)
    bus = aws.events.describe_event_bus(Name=settings.event_bus)["Arn"]
    aws.events.create_archive(ArchiveName=EVENT_ARCHIVE, EventSourceArn=bus)


def register_cloud(vault: Vault) -> None:
    """The embedded cloud as a provider, found by its discovery document."""
    vault.registration.register(
        PROVIDER_ID,
        "openid-connect",
        PROVIDER_NAME,
        client_id=os.environ["DEV_CLOUD_CLIENT_ID"],
        client_secret=Secret(os.environ["DEV_CLOUD_CLIENT_SECRET"]),
        server=vault.registration.discover(os.environ["DEV_CLOUD_ISSUER"]),
        fields={"issuer": os.environ["DEV_CLOUD_ISSUER"]},
        scopes=SCOPES,
        actor="seed",
        origin=Origin("-", "seed"),
    )


if __name__ == "__main__":
    main()
