"""Moto as it is, without what it does anew for each call: two thirds of the time of a test that logs somebody in."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import Any
from unittest.mock import patch

from moto import backend_index
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.parsing import ast_nodes, expressions, validators
from moto.dynamodb.parsing.validators import UpdateExpressionValidator

# Without types
_NODES: Any = ast_nodes
UpdateExpressionParser: Any = vars(expressions)["UpdateExpressionParser"]
_SERIALIZE = ResponseSerializer._serialize_type_structure
_PARSE = UpdateExpressionParser.make
_VISITORS = UpdateExpressionValidator.get_ast_processors
_OURS = ("dynamodb", "kms")


def _serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """Moto looks for each of the ten members of an attribute value under five names."""
    if shape.name != "AttributeValue" or not isinstance(value, dict):
        _SERIALIZE(self, serialized, value, shape, key)
        return
    wrapper: Any = self.MAP_TYPE()
    for member in value:
        self._serialize_structure_member(wrapper, value, shape.members[member], member)
    self._default_serialize(serialized, wrapper, shape, key)


_pickled: dict[int, bytes] = {}


@cache
def _parsed(expression: str) -> Any:
    """Each update expression is parsed once: whoever works on the tree takes a copy."""
    tree = _PARSE(expression)
    validators.ActionCountValidator().traverse(tree)
    _pickled[id(tree)] = pickle.dumps(tree)
    return tree


def _copy(value: Any) -> Any:
    known = _pickled.get(id(value))
    return deepcopy(value) if known is None else pickle.loads(known)  # noqa: S301 - our own, of this process


def _visitors(self: Any) -> list[Any]:
    """Without the one that looks only at the expression: that was done when it was parsed."""
    return [one for one in _VISITORS(self) if not isinstance(one, validators.ActionCountValidator)]


@cache
def _is_node(kind: type) -> bool:
    return issubclass(kind, _NODES.Node)


@cache
def _kind(known: tuple[type, ...], node: type) -> type | None:
    return next((kind for kind in known if issubclass(node, kind)), None)


def _traverse(self: Any, node: Any, child_id: int = -1) -> Any:
    """As Moto's, but for its asking of each node anew whether it is of each kind that the visitor wants."""
    if not _is_node(node.__class__):
        return node
    parent = node.parent
    for number, child in enumerate(node.children or ()):
        self.pre_processing_of_child(node, number)
        _traverse(self, child, number)
    wanted = self.__dict__.get("wanted")
    if wanted is None:
        wanted = self.wanted = self._processing_map()
    kind = _kind(tuple(wanted), node.__class__)
    if kind is not None:
        node = wanted[kind](node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


@contextmanager
def quick_moto() -> Iterator[None]:
    # It tries the address of every service in their order
    patterns = sorted(backend_index.backend_url_patterns, key=lambda pattern: pattern[0] not in _OURS)
    make: Callable[[type, str], Any] = lambda _, expression: _parsed(expression)  # noqa: E731
    with (
        patch.object(ResponseSerializer, "_serialize_type_structure", _serialize),
        patch.object(backend_index, "backend_url_patterns", patterns),
        patch.object(UpdateExpressionParser, "make", classmethod(make)),
        patch.object(UpdateExpressionValidator, "get_ast_processors", _visitors),
        patch.object(validators, "deepcopy", _copy),
        patch.object(_NODES.DepthFirstTraverser, "traverse_node_recursively", _traverse),
    ):
        yield
