"""The people who have an account at the embedded cloud."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CloudLogin:
    """One account of the embedded cloud; `user_name` is the subject of its id_tokens."""

    user_name: str
    name: str
    email: str
    password: str


ALICE = CloudLogin("alice", "Alice Adams", "alice@contoso.example", "alice-pass")
ALICE_PERSONAL = CloudLogin("alice2", "Alice Adams (personal)", "alice.personal@mail.example", "alice-pass")
BOB = CloudLogin("bob", "Bob Brown", "bob@contoso.example", "bob-pass")
CLOUD_LOGINS = (ALICE, ALICE_PERSONAL, BOB)
