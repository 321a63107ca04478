"""`python -m tests.browser.refusal USER_ID`: the cloud ends somebody's authorization, and the vault finds out.

Runs with the settings of the local stack. The tokens are ended at the cloud as its account pages would do it, behind
the vault's back; then a renewed token is asked for.
"""

import sys

from chalicelib.bootstrap import create_vault
from chalicelib.domain.grant import Holding
from chalicelib.domain.token_exchange import Need, TokenRefused
from chalicelib.domain.token_set import TokenSet
from chalicelib.services.revocations import client_of
from dev.stack import PROVIDER_ID


def main(user_id: str) -> int:
    refresh = create_vault().refresh

    def load() -> Holding:
        return refresh._grants.load(user_id, PROVIDER_ID)

    holding = load()
    grant = holding.grant
    assert grant is not None
    assert grant.token_set is not None
    with refresh._revocations._cipher.unlock(holding.key) as box:
        tokens = TokenSet.from_bytes(box.decrypt(grant.token_set, grant.encryption_context()))
        provider_type = refresh._catalogue.get(holding.provider.type_id)
        refresh._oauth_client.revoke(client_of(holding.provider, box), provider_type, tokens)
        try:
            refresh.fresh(holding, box, Need(renew=True), load)
        except TokenRefused as refusal:
            print(refusal.reason.value)
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
