"""Read how many mails wait in somebody's Gmail, over IMAP with XOAUTH2.

python imap_inbox.py 'CONTOSO\\alice'
"""

import imaplib
import os
import sys
from base64 import b64decode

from token_vault_client import SigningKey, VaultClient


def main(user: str) -> None:
    vault = VaultClient(os.environ["TOKEN_VAULT_URL"], SigningKey.from_file("poller", os.environ["TOKEN_VAULT_KEY"]))
    # https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
    token = vault.get_token("google", user, reason="Polling the inbox", scopes=["https://mail.google.com/"])
    with imaplib.IMAP4_SSL("imap.gmail.com") as mail:
        # imaplib encodes the answer itself
        mail.authenticate("XOAUTH2", lambda _: b64decode(token.xoauth2(token.account.label)))
        mail.select("INBOX", readonly=True)
        sys.stdout.write(f"{len(mail.search(None, 'UNSEEN')[1][0].split())} unread\n")


if __name__ == "__main__":
    main(sys.argv[1])
