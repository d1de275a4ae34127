"""Check a request against AWS's own description of the service, offline.

botocore checks names, types and required members before it sends; values of enumerations and
patterns it leaves to the service, so they are walked here. The token that makes a retried call
harmless is made by boto3 and the aws command themselves.
"""

import re

import botocore.session
from botocore.validate import ParamValidator

_SESSION = botocore.session.get_session()


def faults(service, operation, request):
    """Return what the service would refuse of a request, a sentence each."""
    shape = _SESSION.get_service_model(service).operation_model(operation).input_shape
    made = {n: "0" for n, one in shape.members.items() if "idempotencyToken" in one.metadata}
    report = ParamValidator().validate(made | request, shape).generate_report()
    return [line for line in report.splitlines() if line] or list(
        _values(shape, request, operation)
    )


def _values(shape, value, place):
    if shape.type_name == "structure":
        for name, one in value.items():
            yield from _values(shape.members[name], one, f"{place}.{name}")
    elif shape.type_name == "list":
        for one in value:
            yield from _values(shape.member, one, f"{place}[]")
    elif shape.type_name == "map":
        for name, one in value.items():
            yield from _values(shape.key, name, f"{place} key")
            yield from _values(shape.value, one, f"{place}.{name}")
    elif shape.type_name == "string":
        yield from _text(shape.metadata, value, place)
    elif shape.type_name in ("integer", "long") and value > shape.metadata.get("max", value):
        yield f"{place}: {value} is above {shape.metadata['max']}"


def _text(rule, value, place):
    if "enum" in rule and value not in rule["enum"]:
        yield f"{place}: {value} is not one of {', '.join(rule['enum'])}"
    if "pattern" in rule and not re.fullmatch(_python(rule["pattern"]), value):
        yield f"{place}: {value} does not match {rule['pattern']}"
    if len(value) > rule.get("max", len(value)):
        yield f"{place}: {len(value)} characters, at most {rule['max']}"


def _python(pattern):
    """Return a Java pattern as Python takes it: POSIX classes, and no surrogate pairs."""
    for java, python in {r"\p{L}\p{Z}\p{N}": r"\w\s", r"\p{Alnum}": "a-zA-Z0-9"}.items():
        pattern = pattern.replace(java, python)
    return re.sub(r"\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)-\\u\w{4}\\u\w{4}", "", pattern)
