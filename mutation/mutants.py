"""Small changes of a module, one at a time, each as a syntax tree with a word for what was changed."""

import ast
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {"any": "all", "all": "any", "min": "max", "max": "min"}
_NO_BEHAVIOUR = ("StrEnum", "Enum")
"""The words of an enumeration are names: another one changes what is stored, not what is decided."""
_SENTENCES = ("code", "message")
"""Of errors: `tests/architecture/test_errors.py` looks at them."""
_UNSEEN = ("_LOG", "detail", "extra")
"""What only the log shows: its words are looked at by tests of their own."""


@dataclass(frozen=True, slots=True)
class Mutant:
    line: int
    what: str
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    sites = [(node, change) for node in _sites(tree) for change in _changes(node)]
    order = {id(node): number for number, node in enumerate(ast.walk(tree))}
    for node, (what, change) in sites:
        changed = deepcopy(tree)
        change(next(copy for number, copy in enumerate(ast.walk(changed)) if number == order[id(node)]))
        yield Mutant(getattr(node, "lineno", 0), what, ast.fix_missing_locations(changed))


def _sites(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that a program executes: no docstrings, annotations, decorators, f-strings, nor what only the log shows."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_passed_over(child):
                yield from _sites(child)


def _is_passed_over(node: ast.AST) -> bool:
    match node:
        case ast.Expr(ast.Constant()) | ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Global():
            return True
        case ast.ClassDef(bases=[ast.Name(base)]):
            return base in _NO_BEHAVIOUR
        case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(value=str())):
            return name in _SENTENCES
        case ast.keyword(arg):
            return arg in _UNSEEN
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(name)))):
            return name in _UNSEEN
    return False


Change = tuple[str, Callable[[ast.AST], None]]


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[only]) if type(only) in _COMPARISONS:
            other = _COMPARISONS[type(only)]
            yield f"{type(only).__name__} to {other.__name__}", lambda n: setattr(n, "ops", [other()])
        case ast.BoolOp(op):
            other_op = ast.Or if isinstance(op, ast.And) else ast.And
            yield f"{type(op).__name__} to {other_op.__name__}", lambda n: setattr(n, "op", other_op())
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            arithmetic = _ARITHMETIC[type(op)]
            yield f"{type(op).__name__} to {arithmetic.__name__}", lambda n: setattr(n, "op", arithmetic())
        case ast.UnaryOp(ast.Not()):
            yield "not is gone", lambda n: setattr(n, "op", ast.UAdd()) or _wrap_bool(n)
        case ast.Constant(value=bool(value)):
            yield f"{value} to {not value}", lambda n: setattr(n, "value", not value)
        case ast.Constant(value=int(number)):
            yield f"{number} to {number + 1}", lambda n: setattr(n, "value", number + 1)
        case ast.Constant(value=str(text)):
            yield f"{text[:20]!r} changed", lambda n: setattr(n, "value", text + "-mutant")
        case ast.Name(id=name, ctx=ast.Load()) if name in _NAMES:
            yield f"{name} to {_NAMES[name]}", lambda n: setattr(n, "id", _NAMES[name])
        case ast.Return(value=ast.Constant(value=None | False)):
            # Those who ask take one for the other
            pass
        case ast.Return(value=ast.expr()):
            yield "returns None", lambda n: setattr(n, "value", ast.Constant(None))
        case ast.If() | ast.While() | ast.IfExp():
            yield "condition always false", lambda n: setattr(n, "test", ast.Constant(False))
            if not isinstance(node, ast.While):
                yield "condition always true", lambda n: setattr(n, "test", ast.Constant(True))
        case ast.Expr(ast.Call()):
            yield "call is gone", lambda n: setattr(n, "value", ast.Constant(None))
        case ast.Raise(exc=ast.expr()):
            yield "another error", lambda n: setattr(n, "exc", ast.Name("KeyboardInterrupt", ast.Load()))


def _wrap_bool(node: ast.AST) -> None:
    """`not x` to `bool(x)`: a plus would not do for what is no number."""
    assert isinstance(node, ast.UnaryOp)
    node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
