"""What each function may do, and nothing else: actions by table, key and secret, and who sends events and mails.

A function's role is its own. Tests record what the functions do and compare it with this list in both directions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.adapters.event_bridge import SOURCE
from chalicelib.domain.provider import ProviderKey
from chalicelib.stores import tables

_READ_AND_KEEP = ("GetItem", "PutItem")
_CONTEXT = ProviderKey("-", 1, wrapped=b"").encryption_context()


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """DynamoDB actions by table, `Query` of indexes, and what may be done with the keys and secrets."""

    vault: tuple[str, ...] = ()
    listing: bool = False
    keys: tuple[str, ...] = ()
    ends: bool = False
    """Marks grants as ended, in the table of keys: no other item of it."""
    sessions: tuple[str, ...] = ()
    sessions_of_user: bool = False
    token_key: tuple[str, ...] = ()
    audit_key: tuple[str, ...] = ()
    secrets: bool = False
    events: bool = False
    """Events to the bus and mails, as far as the parameters name any."""
    describe: bool = False
    """How tables and keys are set up, for `check-config`."""


FUNCTIONS = {
    "api_handler": Permissions(
        vault=("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"),
        listing=True,
        keys=("BatchGetItem", *_READ_AND_KEEP),
        ends=True,
        sessions=("DeleteItem", *_READ_AND_KEEP, "UpdateItem"),
        sessions_of_user=True,
        token_key=("Decrypt", "GenerateDataKeyWithoutPlaintext"),
        secrets=True,
    ),
    "retry_revocations": Permissions(
        vault=("BatchGetItem", "DeleteItem", *_READ_AND_KEEP, "Query", "UpdateItem"),
        listing=True,
        keys=("BatchGetItem", "GetItem"),
        ends=True,
        token_key=("Decrypt",),
    ),
    "keep_alive": Permissions(
        vault=("BatchGetItem", "DeleteItem", *_READ_AND_KEEP, "Query"),
        listing=True,
        keys=("BatchGetItem",),
        ends=True,
        sessions=_READ_AND_KEEP,
        token_key=("Decrypt",),
    ),
    "look_after_leavers": Permissions(
        vault=("BatchGetItem", "DeleteItem", *_READ_AND_KEEP, "Query", "UpdateItem"),
        listing=True,
        keys=("BatchGetItem",),
        ends=True,
        sessions=("DeleteItem", "GetItem", "UpdateItem"),
        sessions_of_user=True,
        token_key=("Decrypt",),
        secrets=True,
    ),
    "clean_up": Permissions(
        vault=("BatchGetItem", "BatchWriteItem", "DeleteItem", *_READ_AND_KEEP, "Query", "UpdateItem"),
        listing=True,
        keys=("BatchGetItem", "DeleteItem", *_READ_AND_KEEP),
        ends=True,
        sessions=("GetItem",),
        token_key=("Decrypt", "GenerateDataKeyWithoutPlaintext"),
    ),
    "seal_audit": Permissions(
        vault=("GetItem", "PutItem", "Query", "UpdateItem"),
        keys=_READ_AND_KEEP,
        audit_key=("GenerateMac",),
    ),
    "deliver_events": Permissions(
        vault=("BatchGetItem", "BatchWriteItem", *_READ_AND_KEEP, "UpdateItem"),
        listing=True,
        keys=("BatchGetItem",),
        events=True,
    ),
}
"""By the name that Chalice knows a function by."""


OPERATORS = "operators"
"""Their role: for people and pipelines that run `python -m chalicelib`, where `OperatorArns` says who."""
COMMANDS = Permissions(
    vault=("BatchGetItem", "DeleteItem", *_READ_AND_KEEP, "Query", "Scan", "UpdateItem"),
    listing=True,
    keys=("BatchGetItem", *_READ_AND_KEEP, "Scan"),
    ends=True,
    sessions=("DeleteItem", *_READ_AND_KEEP, "Scan", "UpdateItem"),
    sessions_of_user=True,
    token_key=("Decrypt", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"),
    audit_key=("VerifyMac",),
    secrets=True,
    describe=True,
)
"""What all commands together do."""


def policy(name: str) -> dict[str, Any]:
    """The policy document of a function's role."""
    log = _allow("WriteLogs", "logs", ("CreateLogStream", "PutLogEvents"), [_arn(f"{logical(name)}Log")])
    traces = {"Fn::If": ["HasTracing", _trace(), {"Ref": "AWS::NoValue"}]}
    return {"Version": "2012-10-17", "Statement": [log, traces, *_statements(FUNCTIONS[name])]}


def operators_policy() -> dict[str, Any]:
    """The policy document of the operators' role: what the commands do, also with a table that is being restored."""
    restored = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${AWS::StackName}-restored"
    found = [*_statements(COMMANDS)]
    for statement in found:
        if statement.get("Sid") in ("VaultTable", "DescribeTables"):
            statement["Resource"] = [*statement["Resource"], {"Fn::Sub": restored}]
        if statement.get("Sid") == "ReadIndexes":
            statement["Resource"] = [*statement["Resource"], {"Fn::Sub": f"{restored}/index/{tables.LISTING.name}"}]
    return {"Version": "2012-10-17", "Statement": found}


def _statements(may: Permissions) -> Iterator[dict[str, Any]]:
    yield from _table("Vault", may.vault)
    yield from _table("Keys", may.keys)
    if may.ends and "PutItem" not in may.keys:
        yield _mark_ended()
    yield from _table("Sessions", may.sessions)
    indexes = [_index("VaultTable", tables.LISTING.name)] * may.listing
    indexes += [_index("SessionsTable", tables.SESSIONS_OF_USER.name)] * may.sessions_of_user
    if indexes:
        yield _allow("ReadIndexes", "dynamodb", ("Query",), indexes)
    if may.token_key:
        yield _allow("ProviderKeys", "kms", may.token_key, [token_key()]) | {"Condition": _in_context()}
        from_it = tuple(action for action in may.token_key if action in ("Decrypt", "ReEncryptFrom"))
        earlier = _allow("EarlierKey", "kms", from_it, [{"Ref": "EarlierKeyArn"}]) | {"Condition": _in_context()}
        yield {"Fn::If": ["HasEarlierKey", earlier, {"Ref": "AWS::NoValue"}]}
    if may.audit_key:
        yield _allow("AuditLogKey", "kms", may.audit_key, [_arn("AuditKey")])
    if may.describe:
        yield from _describe()
    if may.secrets:
        secret = _allow("ReadDirectorySecrets", "secretsmanager", ("GetSecretValue",), {"Ref": "DirectorySecretArns"})
        yield {"Fn::If": ["HasSecrets", secret, {"Ref": "AWS::NoValue"}]}
        yield {"Fn::If": ["HasSecretKeys", _open_secrets(), {"Ref": "AWS::NoValue"}]}
    if may.events:
        yield {"Fn::If": ["HasEventBus", _put_events(), {"Ref": "AWS::NoValue"}]}
        yield {"Fn::If": ["HasMail", _send_mail(), {"Ref": "AWS::NoValue"}]}
        yield {"Fn::If": ["HasMail", _configured(), {"Ref": "AWS::NoValue"}]}
        # Of the account: it has no finer resource (Service Authorization Reference, Amazon SES v2)
        rate = _allow("ReadSendingRate", "ses", ("GetAccount",), "*")
        yield {"Fn::If": ["HasMail", rate, {"Ref": "AWS::NoValue"}]}


def _mark_ended() -> dict[str, Any]:
    """Without the right to write a provider's key (DynamoDB's guide, "fine-grained access control").

    The guide does not say that a put of a transaction has leading keys. Where it had none, a demand for them (`Null`)
    would refuse every end; without it the statement allows the put.
    """
    marks = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{tables.ENDED}*"]}}
    return _allow("MarkEnded", "dynamodb", ("PutItem",), [_arn("KeysTable")]) | {"Condition": marks}


def _describe() -> Iterator[dict[str, Any]]:
    described = [_arn(name) for name in ("VaultTable", "KeysTable", "SessionsTable")]
    yield _allow("DescribeTables", "dynamodb", DESCRIBE_TABLE, described)
    yield _allow("DescribeKeys", "kms", ("DescribeKey",), [token_key(), _arn("AuditKey")])


def _open_secrets() -> dict[str, Any]:
    """Secrets Manager decrypts with the rights of who asks; only through it (AWS Secrets Manager's guide)."""
    through = {"StringEquals": {"kms:ViaService": {"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}}}
    return _allow("OpenDirectorySecrets", "kms", ("Decrypt",), {"Ref": "SecretKeyArns"}) | {"Condition": through}


def _trace() -> dict[str, Any]:
    """X-Ray knows no finer resource (Service Authorization Reference, AWS X-Ray)."""
    return _allow("WriteTraces", "xray", ("PutTelemetryRecords", "PutTraceSegments"), "*")


def _put_events() -> dict[str, Any]:
    bus = {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBus}"}
    condition = {"StringEquals": {"events:source": SOURCE}}
    return _allow("PutEvents", "events", ("PutEvents",), [bus]) | {"Condition": condition}


def _configured() -> dict[str, Any]:
    """Who sends with a configuration set needs a right on that, too (Amazon SES's developer guide)."""
    own = "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:configuration-set/${AWS::StackName}"
    return _allow("SendMailConfigured", "ses", ("SendEmail", "SendRawEmail"), [{"Fn::Sub": own}])


def _send_mail() -> dict[str, Any]:
    # SES asks for the second where a mail comes whole, as ours do
    actions = ("SendEmail", "SendRawEmail")
    condition = {"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}
    return _allow("SendMail", "ses", actions, {"Ref": "MailIdentityArns"}) | {"Condition": condition}


def _table(name: str, actions: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if actions:
        yield _allow(f"{name}Table", "dynamodb", actions, [_arn(f"{name}Table")])


def _allow(sid: str, service: str, actions: tuple[str, ...], resources: Any) -> dict[str, Any]:
    wanted = [f"{service}:{action}" for action in sorted(actions)]
    return {"Sid": sid, "Effect": "Allow", "Action": wanted, "Resource": resources}


def _arn(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def _index(table: str, name: str) -> dict[str, Any]:
    return {"Fn::Sub": f"${{{table}.Arn}}/index/{name}"}


def _in_context() -> dict[str, Any]:
    """Only with the encryption context of a provider key, and no further pairs in it."""
    return {
        "StringEquals": {"kms:EncryptionContext:purpose": _CONTEXT["purpose"]},
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": sorted(_CONTEXT)},
        "Null": {f"kms:EncryptionContext:{name}": "false" for name in sorted(_CONTEXT)},
    }


DESCRIBE_TABLE = ("DescribeContinuousBackups", "DescribeTable", "DescribeTimeToLive")


def key_statements() -> dict[str, list[dict[str, Any]]]:
    """What the policies of the keys say about the roles, by the key's logical id.

    Both must allow: the role's own policy, and the key's, which names the roles.
    """
    return {
        "TokenKey": [
            _for_roles("UnwrapByTheVaultOnly", "Decrypt", "token_key", _in_context()),
            _for_roles("NewKeysByTheVaultOnly", "GenerateDataKeyWithoutPlaintext", "token_key", _in_context()),
            _where_operators_are(_for_roles("RewrappedFrom", "ReEncryptFrom", "token_key", _in_context())),
            _where_operators_are(_for_roles("RewrappedTo", "ReEncryptTo", "token_key", _in_context())),
        ],
        "AuditKey": [_for_roles("SealedByTheVaultOnly", "GenerateMac", "audit_key", {})],
    }


def _for_roles(sid: str, action: str, key: str, condition: dict[str, Any]) -> dict[str, Any]:
    roles: list[dict[str, Any]] = [role_arn(name) for name, may in FUNCTIONS.items() if action in getattr(may, key)]
    if action in getattr(COMMANDS, key):
        # A name that nobody has is one that somebody could take
        roles += [_where_operators_are(role_arn(OPERATORS)) if roles else role_arn(OPERATORS)]
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}},
        "Action": f"kms:{action}",
        "Resource": "*",
        "Condition": condition | {"ArnEquals": {"aws:PrincipalArn": roles}},
    }


def _where_operators_are(value: dict[str, Any]) -> dict[str, Any]:
    return {"Fn::If": ["HasOperators", value, {"Ref": "AWS::NoValue"}]}


def token_key() -> dict[str, Any]:
    """The key that wraps provider keys: the one that is given, else the stack's own."""
    return {"Fn::If": ["HasCompanyKey", {"Ref": "CompanyKeyArn"}, _arn("TokenKey")]}


def role_arn(name: str) -> dict[str, str]:
    """Written out: by reference, role and key would each wait for the other."""
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{role_name(name)}"}


def role_name(name: str) -> str:
    """At most 64 characters, so a stack's name has at most 44. The region, because roles belong to all regions."""
    return "${AWS::StackName}-${AWS::Region}-" + name.replace("_", "-")


def logical(name: str) -> str:
    """The logical id that Chalice gives to a function."""
    return "APIHandler" if name == "api_handler" else _capitals(name)


def role(name: str) -> str:
    """The logical id that Chalice gives to a function's role."""
    return f"{_capitals(name)}Role"


def _capitals(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
