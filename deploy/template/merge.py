"""The merge template: all pieces as one document, which Chalice lays over its own."""

from pathlib import Path
from typing import Any

import yaml

from . import functions, gateway, operators, permissions, tables, watch

_PIECES = Path(__file__).parent / "pieces"
_SHORT = {"Ref": "Ref", "Condition": "Condition"}
"""CloudFormation's short forms whose long form is not `Fn::` and the same name."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """YAML with CloudFormation's short forms (`!Sub` and the like)."""


def _intrinsic(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {_SHORT.get(tag, f"Fn::{tag}"): value}


_Loader.add_multi_constructor("!", _intrinsic)


def merge_template() -> dict[str, Any]:
    """Parameters, conditions, resources and outputs beside Chalice's own functions and routes."""
    document: dict[str, Any] = {"Description": "Token Vault: people authorize clouds once, programs get fresh tokens"}
    for piece in sorted(_PIECES.glob("*.yaml")):
        _add(document, yaml.load(piece.read_text(encoding="utf-8"), _Loader))  # a SafeLoader  # noqa: S506  # nosec B506
    for resources in (tables.resources(), functions.resources(), operators.resources(), watch.resources()):
        _add(document, {"Resources": resources})
    _add(document, {"Outputs": operators.outputs()})
    for key, statements in permissions.key_statements().items():
        document["Resources"][key]["Properties"]["KeyPolicy"]["Statement"] += statements
    ours = {
        "x-amazon-apigateway-gateway-responses": gateway.responses(),
        "x-amazon-apigateway-policy": gateway.caller_policy(),
    }
    _add(document, {"Resources": {"RestAPI": {"Properties": {"DefinitionBody": ours}}}})
    return document


def _add(document: dict[str, Any], more: dict[str, Any]) -> None:
    """Deeply. Raises ValueError where two pieces say different things."""
    for name, value in more.items():
        if isinstance(document.get(name), dict) and isinstance(value, dict):
            _add(document[name], value)
        elif name in document and document[name] != value:
            raise ValueError(f"two pieces of the template say different things of {name}")
        else:
            document[name] = value
