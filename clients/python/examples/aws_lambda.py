"""A Lambda function that acts for people: its execution role is registered with the vault, and there is no key."""

import os
from typing import Any

import requests

from token_vault_client import IamRole, NotConnected, VaultAuth, VaultClient

# Outside the handler, so that it lives as long as the Lambda does
vault = VaultClient(os.environ["TOKEN_VAULT_URL"], IamRole("archiver", os.environ["AWS_REGION"]), wait_seconds=10)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """`event`: {"user": "CONTOSO\\\\alice", "job": "..."}."""
    auth = VaultAuth(vault, "box", event["user"], reason=f"Archive job {event['job']}")
    try:
        answer = requests.get("https://api.box.com/2.0/folders/0/items", auth=auth, timeout=30)
    except NotConnected as refusal:
        return {"ask_the_person": refusal.connect_url}
    answer.raise_for_status()
    return {"items": [item["name"] for item in answer.json()["entries"]]}
