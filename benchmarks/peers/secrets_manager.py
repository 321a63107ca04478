"""AWS Secrets Manager through boto3: one secret fetched by a client that is kept."""

import boto3
import loop

client = loop.note(boto3.client("secretsmanager"))
client.create_secret(Name="token", SecretString="t" * 1200)
loop.serve(
    get=lambda: client.get_secret_value(SecretId="token")["SecretString"],
    put=lambda: client.put_secret_value(SecretId="token", SecretString="t" * 1200),
)
