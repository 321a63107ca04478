"""File a document into somebody's OneDrive with Microsoft Graph.

python graph_upload.py 'CONTOSO\\alice' scan.pdf
"""

import os
import sys
from pathlib import Path
from urllib.parse import quote

import requests

from token_vault_client import SigningKey, VaultAuth, VaultClient


def main(user: str, file: Path) -> None:
    vault = VaultClient(os.environ["TOKEN_VAULT_URL"], SigningKey.from_file("scanner", os.environ["TOKEN_VAULT_KEY"]))
    auth = VaultAuth(vault, "microsoft", user, reason=f"Filing {file.name}", scopes=["Files.ReadWrite"])
    # https://learn.microsoft.com/graph/api/driveitem-put-content: up to 250 MB
    url = f"https://graph.microsoft.com/v1.0/me/drive/root:/Scans/{quote(file.name)}:/content"
    answer = requests.put(url, data=file.read_bytes(), auth=auth, timeout=60)
    answer.raise_for_status()
    sys.stdout.write(answer.json()["webUrl"] + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
