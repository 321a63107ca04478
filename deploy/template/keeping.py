"""Names by which what outlives a stack is found again."""

AUDIT_KEY_TAG = "token-vault-audit"
"""Tag of the key that seals the audit log; its value is the stack's name."""
