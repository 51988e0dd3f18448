"""A service as an OpenRPC 1.4 document, the answer of `rpc.discover`.

Schemas come from annotations, descriptions from docstrings. Equal declarations give equal documents, byte for byte.
Standard: https://spec.open-rpc.org, whose schemas are JSON Schema draft 7. Members that it does not define begin with
`x-`: access, deadlines, and how a parameter can be given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import Parameter
from typing import Any, Final, Literal

from msgspec import json
from posthouse.core.encoding.compiler import Recursive, described
from posthouse.core.encoding.conversion import write_custom
from posthouse.core.encoding.faults import explain
from posthouse.core.encoding.models import adapter_of
from posthouse.core.encoding.ordering import ordered
from posthouse.core.encoding.plan import Plan
from posthouse.core.encoding.unions import OneOf
from posthouse.core.values.errors import DEADLINE_EXCEEDED, ERRORS, FORBIDDEN, UNAUTHENTICATED, UsageError

from .method import Method
from .service import Service
from .signature import KEYWORD_ONLY, NAMED_REST, POSITIONAL_ONLY, REST, is_required
from .topics.described import described_topic

Schema = dict[str, Any]

VERSION: Final = "1.4.1"
SCHEMAS: Final = "#/components/schemas/"
ERROR_COMPONENTS: Final = "#/components/errors/"
WAYS: Final[dict[Any, str]] = {
    POSITIONAL_ONLY: "by-position",
    REST: "by-position",
    KEYWORD_ONLY: "by-name",
    NAMED_REST: "by-name",
}
"""Kinds of parameters that can be given in one way only, and that way."""

OUTPUT: Final = ".output"
"""The suffix of a component for results, if a type is written in another form than it is read."""

HOLD_SCHEMAS: Final = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas")
LIST_SCHEMAS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
ARE_SCHEMAS: Final = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else")


def document(service: Service, builtins: Iterable[Method]) -> dict[str, Any]:
    """The document of a service with these built-in methods. Raises UsageError for a type without a JSON Schema."""
    methods = sorted((*service.methods.values(), *builtins), key=lambda method: method.name)
    taken = [parameter.annotation for method in methods for parameter in method.signature.parameters]
    given = [method.signature.returns for method in methods] + [rule.payload.annotation for rule in service.topics]
    inputs, read = _schemas(taken, "validation", "")
    outputs, written = _schemas(given, "serialization", "")
    if any(name in read and read[name] != schema for name, schema in written.items()):
        outputs, written = _schemas(given, "serialization", OUTPUT)
    components = read | written
    objects = [_method(method, inputs, next(outputs), method.name in service.methods) for method in methods]
    topics = [described_topic(rule, next(outputs)) for rule in service.topics]
    info = {"title": service.name, "version": service.version}
    if service.description:
        info["description"] = service.description
    return {
        "openrpc": VERSION,
        "info": info,
        "methods": objects,
        **({"x-topics": topics} if topics else {}),
        "components": {
            "schemas": {name: components[name] for name in sorted(components)},
            "errors": {
                _error_name(code): {"code": code, "message": ERRORS[code].message}
                for code in (UNAUTHENTICATED, FORBIDDEN, DEADLINE_EXCEEDED)
            },
        },
    }


def _method(method: Method, inputs: Iterator[Schema], output: Schema, has_deadline: bool) -> dict[str, Any]:
    """A Method Object with its Content Descriptor Objects. `inputs` gives the schemas of its parameters, in order."""
    structure = _structure(method.signature.parameters)
    params: list[dict[str, Any]] = []
    more: dict[str, Schema] = {}
    for parameter, plan in zip(method.signature.parameters, method.signature.plans, strict=True):
        schema = next(inputs)
        way = WAYS.get(parameter.kind, structure)
        if structure not in ("either", way):
            continue  # no request can give it together with the required parameters
        if parameter.kind in (REST, NAMED_REST):
            more[way] = schema
            continue
        required = is_required(parameter)
        if not required:
            schema = _with_default(parameter, plan, schema)
        param = {"name": parameter.name, "required": required, "schema": schema}
        if way != structure:
            param["x-param-structure"] = way
        params.append(param)
    shown: dict[str, Any] = {"name": method.name}
    if method.description:
        shown["summary"] = method.description.partition("\n\n")[0].replace("\n", " ")
        shown["description"] = method.description
    shown["paramStructure"] = structure
    # "All optional params MUST be positioned after all required params in the list."
    shown["params"] = sorted(params, key=lambda param: not param["required"])
    shown["result"] = {"name": "result", "schema": output}
    errors = _errors(method, has_deadline)
    if errors:
        shown["errors"] = [{"$ref": ERROR_COMPONENTS + _error_name(code)} for code in errors]
    shown["x-public"] = method.public
    shown["x-scopes"] = list(method.scopes)
    if method.timeout is not None:
        shown["x-timeout"] = method.timeout
    if method.on_disconnect != "cancel":
        shown["x-on-disconnect"] = method.on_disconnect
    if more:
        shown["x-additional-params"] = more
    return shown


def _structure(parameters: tuple[Parameter, ...]) -> str:
    """How `params` must be given: the required parameters decide."""
    for parameter in parameters:
        if is_required(parameter) and parameter.kind in WAYS:
            return WAYS[parameter.kind]
    return "either"


def _with_default(parameter: Parameter, plan: Plan, schema: Schema) -> Schema:
    """The schema with the parameter's default, if a peer could give that value, too."""
    try:
        data = json.encode(ordered(parameter.default), enc_hook=write_custom)
    except Exception:
        return schema
    if explain(plan, data):
        return schema
    # Draft 7: "All other properties in a "$ref" object MUST be ignored."
    held = {"allOf": [schema]} if "$ref" in schema else schema
    return {**held, "default": json.decode(data)}


def _errors(method: Method, has_deadline: bool) -> list[int]:
    """The error codes of this method, without those that every method has."""
    errors: list[int] = []
    if method.scopes or not method.public:
        errors.append(UNAUTHENTICATED)
    if method.scopes:
        errors.append(FORBIDDEN)
    if has_deadline:
        errors.append(DEADLINE_EXCEEDED)
    return errors


def _error_name(code: int) -> str:
    return ERRORS[code].message.title().replace(" ", "")


def _schemas(
    types: list[Any], mode: Literal["validation", "serialization"], suffix: str
) -> tuple[Iterator[Schema], dict[str, Schema]]:
    """The schemas of types, in their order, and the components that they refer to."""
    models: dict[str, Schema] = {}
    unions: dict[Any, list[Schema]] = {}

    def parts_of(*wires: Any) -> list[Schema]:
        schemas, parts = json.schema_components(wires, schema_hook=describe_custom, ref_template=template)
        models.update({name + suffix: schema for name, schema in parts.items()})
        return list(schemas)

    def describe_custom(cls: Any) -> Schema:
        if cls is object:
            return {"description": "any JSON value"}
        if issubclass(cls, OneOf):
            if cls not in unions:
                unions[cls] = []  # it may contain itself
                unions[cls] += parts_of(*cls.branches)
            return {"anyOf": unions[cls]}
        name = re.sub(r"[^\w.-]", "_", f"{cls.__module__}.{cls.__name__}", flags=re.ASCII) + suffix
        if issubclass(cls, Recursive):
            if name not in models:
                models[name] = {}  # it contains itself
                (models[name],) = parts_of(cls.wire)
            return {"$ref": SCHEMAS + name}
        try:
            models[name] = adapter_of(cls.declared).json_schema(
                ref_template=f"{SCHEMAS}{name}/$defs/{{model}}", mode=mode
            )
        except Exception as error:
            raise UsageError(f"the model {cls.__qualname__!r} has no JSON Schema: {error}") from None
        return {"$ref": SCHEMAS + name}

    template = f"{SCHEMAS}{{name}}{suffix}"
    try:
        wires = described(types, sends=mode == "serialization")
        schemas, components = json.schema_components(wires, schema_hook=describe_custom, ref_template=template)
    except TypeError as error:
        raise UsageError(f"a type has no JSON Schema: {error}") from None
    named = {name + suffix: schema for name, schema in components.items()} | models
    return map(_as_draft_7, schemas), {name: _as_draft_7(schema) for name, schema in named.items()}


def _as_draft_7(schema: Any) -> Any:
    """The schema in the terms of draft 7, whose `items` is the `prefixItems` of later drafts."""
    if not isinstance(schema, dict):
        return schema
    done: Schema = {}
    for key, value in schema.items():
        if key in HOLD_SCHEMAS:
            done[key] = {name: _as_draft_7(held) for name, held in value.items()}
        elif key in LIST_SCHEMAS:
            done[key] = [_as_draft_7(held) for held in value]
        elif key in ARE_SCHEMAS:
            done[key] = _as_draft_7(value)
        else:
            done[key] = value
    if done.get("uniqueItems") and isinstance(done.get("default"), list):
        done["default"] = sorted(done["default"], key=json.encode)  # a set, in the order of its hashes
    if "prefixItems" in done:
        done["additionalItems"] = done.pop("items", True)
        done["items"] = done.pop("prefixItems")
    return done
