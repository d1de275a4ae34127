"""No SQL is put together from anything but sound texts: the code is read, nothing of it is run.

A text is sound if it is a constant, came out of a quoting function, or is put together from sound
texts. A parameter is sound if every call in the package passes a sound text for it. What remains
are settings that are SQL by contract, and names that no settings reach; both are listed here.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "kyros_spark"
TREES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): ast.parse(path.read_text())
    for path in sorted(ROOT.rglob("*.py"))
}
QUOTING = {"quoted", "text", "number_text"}  # of tables/ddl.py
# The argument that Spark or Delta takes as SQL; None: all of them.
SINKS = {
    "sql": 0, "expr": 0, "selectExpr": None, "where": 0, "filter": 0, "condition": 1,
    "parseExpression": 0, "option": 1,
}  # fmt: skip
# What an attribute of that name holds, wherever SQL is put together.
ATTRIBUTES = {
    "sql": "a setting that is SQL", "check": "a rule's SQL", "where": "which claims, in SQL",
    "count": "of claims, in SQL", "amount": "of claims, in SQL", "exposure": "in SQL",
    "repair": "SQL by column", "targets": "SQL by name", "start": "of a claim's period, in SQL",
    "end": "of a claim's period, in SQL", "broken": "of a Rule, checked where one is made",
    "found_sql": "of a Rule, checked where one is made", "type": "a pattern lets few through",
    "case": "lower or upper", "names": "columns of our own contracts", "unseen_code": "a number",
    "outputs": "versions by table", "_seen": "versions by table", "dtypes": "Spark's own",
    "id": "of a rule, which has a pattern of its own", "arguments": "SQL of a model's features",
    "sum": "names of a source, which have a pattern",
    "amounts": "names of a source, which have a pattern",
    "columns": "names of a source, which have a pattern",
    "number": "of a rule, its place among the others",
    "before": "of a RepairedValue, checked where one is made",
    "name": "of our own contracts and views", "max": "sys.float_info.max",
}  # fmt: skip
# Calls whose result no settings reach.
CALLS = {
    "simpleString": "of Spark's own type",
    "str": "of numbers",
    "len": "a number",
    "int": "a number",
    "round": "a number",
    "reference": "quotes its parts",
    "sql_type": "a type",
    "hex": "of a random id",
}
# The only text that is somebody else's: it is refused or run by cli/sql/guard.py.
USERS_OWN = "cli/sql/query"
# Arguments of classes that are SQL.
MADE = {"Rule": {"broken": 3, "found_sql": 4}, "RepairedValue": {"before": 3}}


class Reader:
    """Decides which expressions are sound, asking callers about parameters."""

    def __init__(self):
        self.parents, self.functions, self.calls = {}, {}, {}
        self.asked, self.unsound = set(), []
        for module, tree in TREES.items():
            for node in ast.walk(tree):
                for child in ast.iter_child_nodes(node):
                    self.parents[child] = (node, module)
                if isinstance(node, ast.FunctionDef):
                    self.functions.setdefault(node.name, []).append(node)
                if isinstance(node, ast.Call):
                    self.calls.setdefault(name_of(node.func), []).append(node)

    def require(self, node, why):
        """Note an expression that is not sound; ``why``: what takes it."""
        self.blamed = None
        if not self.sound(node):
            blamed = self.blamed or node
            module = self.parents[blamed][1]
            if module == USERS_OWN:
                return
            self.unsound.append(f"{module}:{blamed.lineno} {ast.unparse(blamed)[:80]} ({why})")

    def sound(self, node):
        sound = self.is_sound(node)
        if not sound and self.blamed is None and node in self.parents:
            self.blamed = node
        return sound

    def is_sound(self, node):
        match node:
            case ast.Constant() | ast.Compare() | ast.Lambda():
                return True
            case ast.JoinedStr():
                return all(self.sound_part(node, n) for n in range(len(node.values)))
            case ast.IfExp():
                return self.sound(node.body) and self.sound(node.orelse)
            case ast.BoolOp():
                return all(map(self.sound, node.values))
            case ast.BinOp(op=ast.Add()):
                return self.sound(node.left) and self.sound(node.right)
            case ast.BinOp() | ast.UnaryOp():
                return True  # a number, or a condition of Spark's own class
            case ast.Tuple() | ast.List() | ast.Set():
                return all(map(self.sound, node.elts))
            case ast.Dict():
                return all(map(self.sound, node.values))
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                return self.sound(node.elt)
            case ast.DictComp():
                return self.sound(node.value)
            case ast.Subscript(value=ast.Call(func=called), slice=ast.Constant(value=int(n))):
                return self.sound_function(called, n)
            case ast.Starred() | ast.Subscript() | ast.NamedExpr():
                return self.sound(node.value)
            case ast.Attribute():
                return node.attr in ATTRIBUTES or node.attr.isupper()
            case ast.Name():
                return self.sound_name(node)
            case ast.Call():
                return self.sound_call(node)
        return False

    def sound_part(self, text, number):
        part = text.values[number]
        if isinstance(part, ast.Constant):
            return True
        after = text.values[number + 1] if number + 1 < len(text.values) else None
        is_number = isinstance(after, ast.Constant) and after.value.startswith("D")
        return (part.conversion == ord("r") and is_number) or self.sound(part.value)

    def sound_call(self, call):
        name = name_of(call.func)
        if name in QUOTING or name in CALLS or name[0].isupper():
            return True  # a class is no text: Spark's own Column, or Rule, see below
        if name in (
            "join",
            "get",
            "values",
            "items",
            "dict",
            "list",
            "sorted",
            "fromkeys",
            "format",
            "enumerate",
            "zip",
            "pairwise",
            "lstrip",
            "strip",
            "setdefault",
        ):
            owner = [call.func.value] if isinstance(call.func, ast.Attribute) else []
            owner = [] if name in ("fromkeys", "pairwise") else owner
            return all(map(self.sound, [*owner, *call.args]))
        if name == "map":
            function = call.args[0]
            return name_of(function) in QUOTING or self.sound_function(function)
        if isinstance(call.func, ast.Attribute) and name_of(call.func.value) == "F":
            return True  # an expression of Spark's own class, no text
        return self.sound_function(call.func)

    def sound_function(self, called, place=None):
        """Return whether what is called returns sound texts; asked again, it does.

        place: look only there in the tuples that it returns.
        """
        functions = [f for f in self.functions.get(name_of(called), ()) if self.calls_it(called, f)]
        results = [bool(functions)]
        for function in functions:
            if (function, place) not in self.asked:
                self.asked.add((function, place))
                results += [self.sound(element(node.value, place)) for node in own_nodes(function)
                            if isinstance(node, ast.Return | ast.Yield) and node.value]  # fmt: skip
        return all(results)

    def calls_it(self, called, function):
        """Return whether a call may be one of a function: of its module, imported, or a method."""
        home, module = self.parents[function][1], self.parents[called][1]
        is_method = isinstance(self.parents[function][0], ast.ClassDef)
        if isinstance(called, ast.Attribute):
            return is_method or home == home_of(module, name_of(called.value), whole=True)
        return not is_method and (home == module or home == home_of(module, function.name))

    def sound_name(self, name):
        scope = name
        while scope in self.parents:
            scope = self.parents[scope][0]
            if isinstance(scope, ast.FunctionDef | ast.Module | ast.ListComp | ast.GeneratorExp
                          | ast.DictComp | ast.SetComp):  # fmt: skip
                bound = self.bound_in(scope, name.id)
                if bound is not None:
                    return bound
        module = self.parents[name][1]
        return self.sound_import(module, name.id)

    def bound_in(self, scope, name):
        """Return whether what a scope binds to a name is sound; None if it binds nothing."""
        if (scope, name) in self.asked:
            return True
        values = []
        comprehensions = getattr(scope, "generators", [])
        for node in [*comprehensions, *(own_nodes(scope) if not comprehensions else ())]:
            match node:
                case ast.Assign(targets=targets):
                    values += [v for t in targets for v in bindings(t, node.value, name)]
                case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                    values += bindings(target, node.value, name) if node.value else []
                case ast.For(target=target, iter=source):
                    values += bindings(target, source, name)
                case ast.comprehension(target=target, iter=source) if comprehensions:
                    values += bindings(target, source, name)
        is_parameter = isinstance(scope, ast.FunctionDef) and name in parameters(scope)
        if not values and not is_parameter:
            return None
        self.asked.add((scope, name))
        sound = all(map(self.sound, values))
        is_asked = is_parameter and not is_number(scope, name)
        return sound and (not is_asked or self.sound_parameter(scope, name))

    def sound_parameter(self, function, name):
        """Return whether every call of a function passes a sound text for a parameter."""
        position = parameters(function).index(name)
        is_method = parameters(function)[0] in ("self", "cls")
        calls = [c for c in self.calls.get(function.name, ()) if self.calls_it(c.func, function)]
        sound = bool(calls)
        for call in calls:
            given = [k.value for k in call.keywords if k.arg == name]
            place = position - is_method
            if not given and len(call.args) > place:
                given = [call.args[place]]
            sound = all(map(self.sound, given)) and sound
        return sound

    def sound_import(self, module, name):
        home = home_of(module, name)
        return home in TREES and self.bound_in(TREES[home], name) is True


def home_of(module, name, whole=False):
    """Return the module of ours from which a module imports a name, or "".

    whole: the name is itself a module.
    """
    for node in ast.walk(TREES[module]):
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if name == (alias.asname or alias.name):
                home = f"{node.module}.{alias.name}" if whole else str(node.module)
                return home.removeprefix("kyros_spark.").replace(".", "/")
    return ""


def name_of(node):
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else "?"


def parameters(function):
    arguments = function.args
    return [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def is_number(function, name):
    """Tell whether a parameter is declared to be a number, or none."""
    arguments = function.args
    (parameter,) = [a for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
                    if a.arg == name]  # fmt: skip
    kinds = ast.unparse(parameter.annotation).split(" | ") if parameter.annotation else ["?"]
    return set(kinds) <= {"int", "float", "None"}


def own_nodes(scope):
    """Yield the nodes of a scope without those of the functions within."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def bindings(target, value, name):
    """Return what a name takes of a value, by its place in the target."""
    if isinstance(target, ast.Starred):
        target = target.value
    if isinstance(target, ast.Subscript):
        target = target.value
    if isinstance(target, ast.Name):
        return [value] if target.id == name else []
    if not isinstance(target, ast.Tuple) or name not in {
        n.id for n in ast.walk(target) if isinstance(n, ast.Name)
    }:
        return []
    if isinstance(value, ast.Call) and name_of(value.func) == "enumerate":
        first, second = target.elts
        if isinstance(first, ast.Name) and first.id == name:
            return [ast.Constant(0)]
        return bindings(second, value.args[0], name) or [value.args[0]]
    if isinstance(value, ast.Tuple | ast.List) and all(
        isinstance(e, ast.Tuple | ast.List) for e in value.elts
    ):
        return [v for row in value.elts for v in bindings(target, row, name)]
    if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        pairs = zip(target.elts, value.elts, strict=True)
        return [v for t, e in pairs for v in bindings(t, e, name)]
    places = [n for n, e in enumerate(target.elts) if isinstance(e, ast.Name) and e.id == name]
    of_python = ("items", "zip", "pairwise", "enumerate", "sorted", "reversed")
    if isinstance(value, ast.Call) and name_of(value.func) not in of_python and places:
        return [ast.Subscript(value=value, slice=ast.Constant(places[0]))]
    return [value]


def element(value, place):
    """Return an element of a tuple, or the value itself."""
    return value.elts[place] if place is not None and isinstance(value, ast.Tuple) else value


def is_text(node):
    """Tell whether an argument can be a text at all; conditions of Spark's own class cannot."""
    return isinstance(node, ast.JoinedStr | ast.Constant) or (
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)
    )


def unsound():
    reader = Reader()
    for name, position in SINKS.items():
        for call in reader.calls.get(name, ()):
            if name_of(call.func) == "option" and "replaceWhere" not in ast.unparse(call):
                continue
            arguments = call.args if position is None else call.args[position : position + 1]
            for argument in arguments:
                if name not in ("where", "filter") or is_text(argument):
                    reader.require(argument, f"{name}(...)")
    made = [(kind, call) for kind in MADE for call in reader.calls.get(kind, ())]
    for kind, call in made:
        for argument, position in MADE[kind].items():
            given = [k.value for k in call.keywords if k.arg == argument]
            for node in given or call.args[position : position + 1]:
                reader.require(node, f"{kind}'s {argument}")
    return reader.unsound


def test_all_sql_is_made_of_quoted_texts_and_constants():
    assert unsound() == []


UNQUOTED = {
    "a value of a replace condition": (
        "delta/where", "return text(value) if isinstance(value, str) else str(value)",
        "return f\"'{value}'\""),
    "a batch, three calls away from Spark": (
        "transforms/verdicts", "{text(batch)} AS batch_id", "'{batch}' AS batch_id"),
    "a feature's column": (
        "transforms/features", "return quoted(settings.column or name)",
        "return f'`{settings.column or name}`'"),
    "a level in a rule": (
        "transforms/repairs", "WHEN {text(a)} THEN {text(b)}", "WHEN '{a}' THEN {text(b)}"),
    "a path": ("stages/clean/source_files", "delta.{quoted(path)}", "delta.`{path}`"),
}  # fmt: skip


@pytest.mark.parametrize("module, sound, broken", UNQUOTED.values(), ids=list(UNQUOTED))
def test_a_name_that_is_not_quoted_is_noticed(module, sound, broken, monkeypatch):
    source = (ROOT / module).with_suffix(".py").read_text()
    assert sound in source
    monkeypatch.setitem(TREES, module, ast.parse(source.replace(sound, broken)))
    assert len(unsound()) >= 1
