"""The parameters file of a stage, checked before anything is sent: what is missing, unknown or cannot be meant."""

import json
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any
from urllib.parse import urlsplit

from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.mail import is_mail_address
from chalicelib.domain.sign_in import SignInSettings

from .errors import BuildError
from .stage import Stage

FILE = "parameters.json"


def read(stage: Stage) -> dict[str, str]:
    """Every value as text. Raises BuildError for a file that is not there or no JSON object of texts and numbers."""
    path = stage.folder / FILE
    shown = f"stages/{stage.name}/{FILE}"
    if not path.exists():
        raise BuildError(f"{shown} is missing. stages/prod/parameters.example.json shows what is in it.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BuildError(f"{shown} is no JSON: {error}.") from error
    if not isinstance(found, dict) or not all(isinstance(one, str | int) for one in found.values()):
        raise BuildError(f"{shown} must be one JSON object of texts and numbers.")
    return {name: _text(value) for name, value in found.items()}


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def complete(given: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, str]:
    """A value for every parameter, the default where none is given.

    All of them are sent: CloudFormation keeps what a stack has of one that is not, so a line that was taken out of the
    file would go on counting.
    """
    defaults = {name: str(one["Default"]) for name, one in known.items() if "Default" in one}
    return defaults | {name: given[name] for name in known if name in given}


def check(given: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Raises BuildError with a sentence for every fault. `known` are the template's parameters."""
    problems = [*_unknown_and_missing(given, known)]
    for name in given.keys() & known.keys():
        problems += _value_problems(name, given[name], known[name])
    problems += [] if problems else _meaning_problems(given)
    if problems:
        raise BuildError("The parameters cannot be used:\n" + "\n".join(f"- {one}" for one in sorted(problems)))


def check_ports(values: Mapping[str, str], ports: Set[int], template: Mapping[str, Any]) -> None:
    """Raises BuildError where the functions' security group would silently drop what goes to a directory."""
    rules = template["Resources"]["FunctionsGroup"]["Properties"]["SecurityGroupEgress"]
    open_ports = {rule["FromPort"] for rule in rules if rule.get("IpProtocol") == "tcp"} | {
        int(values["DirectoryPort"])
    }
    closed = sorted(ports - open_ports)
    if values["VpcId"] and closed:
        named = ", ".join(map(str, closed))
        raise BuildError(f"Directories names servers at port {named}, which DirectoryPort does not open. It opens one.")


def _unknown_and_missing(given: Mapping[str, str], known: Mapping[str, Any]) -> Iterator[str]:
    for name in given.keys() - known.keys():
        yield f"{name} is no parameter of the template."
    for name, described in known.items():
        if name not in given and "Default" not in described:
            yield f"{name} is missing. {described['Description']}"


def _value_problems(name: str, value: str, described: Mapping[str, Any]) -> Iterator[str]:
    several = value.split(",") if described["Type"] == "CommaDelimitedList" else [value]
    if not all(re.fullmatch(described.get("AllowedPattern", ".*"), one, re.DOTALL) for one in several):
        yield f"{name} is {value!r}. {described['ConstraintDescription']}"
    allowed = [str(one) for one in described.get("AllowedValues", [])]
    if allowed and value not in allowed:
        yield f"{name} is {value!r} and must be one of {', '.join(allowed)}."
    if len(value) < int(described.get("MinLength", 0)):
        yield f"{name} is too short. {described['Description']}"
    if described["Type"] == "Number":
        yield from _number_problems(name, value, int(described.get("MinValue", 0)), described.get("MaxValue"))


def _number_problems(name: str, value: str, least: int, most: int | None) -> Iterator[str]:
    is_within = value.isdigit() and least <= int(value) and (most is None or int(value) <= most)
    if not is_within:
        yield f"{name} is {value!r} and must be a number from {least}{f' to {most}' if most is not None else ''}."


def _meaning_problems(given: Mapping[str, str]) -> Iterator[str]:
    """What single values cannot show."""
    if given.get("VpcId") and not given.get("SubnetIds"):
        yield "SubnetIds is missing: a VPC is named, and not where in it the functions run."
    if given.get("VpcEndpoints") == "true" and not given.get("RouteTableIds"):
        yield "RouteTableIds is missing: the endpoint of DynamoDB is a route in these tables."
    yield from _mail_problems(given)
    for name in ("HostedZoneId", "Truststore"):
        if given.get(name) and not given.get("CertificateArn"):
            yield f"CertificateArn is missing: {name} is for a domain of your own."
    if given.get("CertificateArn") and urlsplit(given["PublicUrl"]).path:
        yield "PublicUrl has a path, and a domain of your own has none."
    yield from _description_problems(given)


def _mail_problems(given: Mapping[str, str]) -> Iterator[str]:
    sender, administrators = given.get("MailFrom", ""), given.get("AdminMail", "")
    if sender and not given.get("MailIdentityArns"):
        yield "MailIdentityArns is missing: MailFrom is named, and nothing may be sent from it."
    if (administrators or given.get("MailIdentityArns")) and not sender:
        yield "MailFrom is missing: nothing says where mail comes from."
    named = [("MailFrom", sender), ("MailReplyTo", given.get("MailReplyTo", ""))]
    for name, address in (*named, *(("AdminMail", one) for one in administrators.split(","))):
        if address and not is_mail_address(address.strip()):
            yield f"{name} is {address!r}, which is no plain mail address."


def _description_problems(given: Mapping[str, str]) -> Iterator[str]:
    """Of what people log in with. Paths are of files in the bundle, which the vault reads at its start."""
    directories: list[DirectorySettings] = []
    sign_in, text = None, given.get("SignIn", "")
    try:
        if given["Directories"].startswith("["):
            directories = [DirectorySettings.from_mapping(one) for one in json.loads(given["Directories"])]
    except (ValueError, TypeError) as error:
        yield f"Directories cannot be understood: {error}."
    try:
        if text.startswith("{"):
            sign_in = SignInSettings.from_mapping(json.loads(text))
    except (ValueError, TypeError) as error:
        yield f"SignIn cannot be understood: {error}."
    if given["Directories"] == "[]" and not text:
        yield "Directories names no directory and SignIn nobody, so nobody could log in."
    if not given.get("DirectorySecretArns") and (sign_in or any(one.service_secret for one in directories)):
        named = "SignIn" if sign_in else "Directories"
        yield f"DirectorySecretArns is missing: {named} names a secret, and nobody could read it."
