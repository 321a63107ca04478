"""Token Vault: keeps people's cloud authorizations and hands access tokens to applications."""
