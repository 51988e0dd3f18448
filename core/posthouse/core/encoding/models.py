"""Plans of types that validate themselves: pydantic's models, dataclasses and types, and models with their methods.

They are validated from JSON, as strict models need it, and serialised as the declared type, not as the type of the
value. pydantic is not imported here: a declared type of pydantic's has imported it.
"""

from __future__ import annotations

import sys
from typing import Any, get_origin

from msgspec import Raw, json

from .conversion import REFUSED, Fault, Refused, is_model, pydantic_faults
from .plan import EVERY_KIND, Compiling, Plan


def model(compiling: Compiling, annotation: Any) -> Plan:
    """The plan of a type that validates itself."""
    compiling.special = True
    cls = get_origin(annotation) or annotation
    adapter = adapter_of(annotation)
    plan = Plan(_described(annotation, cls) if compiling.describes else Raw, yields=Raw)
    plan.cls = cls
    plan.label = cls.__name__
    plan.kinds = _kinds(cls, adapter)
    plan.members, plan.closed = _members(cls)

    def read(raw: Any) -> Any:
        return adapter.validate_json(bytes(raw))

    def send(value: Any) -> Any:
        if not isinstance(value, cls):
            try:
                value = adapter.validate_python(value)
            except Exception as error:
                raise Refused(pydantic_faults(error) or (Fault("$", REFUSED),)) from None
        return Raw(adapter.dump_json(value, by_alias=True, warnings="error"))

    plan.convert = send if compiling.sends else read
    return plan


def _described(annotation: Any, cls: Any) -> Any:
    """A class without members that stands for the type in a JSON Schema: msgspec would look into a dataclass."""
    return type(cls.__name__, (Described,), {"declared": annotation, "__module__": cls.__module__})


class Described:
    """The wire type of a type that validates itself, for its JSON Schema."""

    declared: Any = None


class Methods:
    """The adapter of a class that has the methods of a pydantic model but is not one."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self.validate_python = cls.model_validate

    def validate_json(self, data: bytes) -> Any:
        """Build an instance from JSON."""
        return self._cls.model_validate(json.decode(data))

    def dump_json(self, value: Any, *, by_alias: bool, warnings: str) -> bytes:
        """The instance as JSON."""
        return json.encode(value.model_dump(mode="json", by_alias=by_alias))

    def json_schema(self, *, ref_template: str, mode: str) -> Any:
        """The JSON Schema of its input or its output."""
        return self._cls.model_json_schema(ref_template=ref_template, mode=mode)


def adapter_of(annotation: Any) -> Any:
    """What validates and serialises values of this type."""
    cls = get_origin(annotation) or annotation
    if is_model(cls) and not hasattr(cls, "__pydantic_validator__"):
        return Methods(cls)
    try:
        return sys.modules["pydantic"].TypeAdapter(annotation)
    except Exception as error:
        raise TypeError(f"pydantic refuses it: {error}") from None


def _kinds(cls: Any, adapter: Any) -> tuple[str, ...]:
    """The kinds of JSON that the type takes. Other types of pydantic's than models take text, too."""
    if getattr(cls, "__pydantic_root_model__", False):
        return EVERY_KIND
    if hasattr(cls, "__pydantic_fields__"):
        return ("object",)
    try:
        schema = adapter.json_schema(ref_template="{model}", mode="validation")
    except Exception:
        return EVERY_KIND  # it has no schema
    types = [part.get("type") for part in schema.get("anyOf", [schema])]
    if not all(isinstance(name, str) for name in types):
        return EVERY_KIND
    kinds = ["number" if name == "integer" else name for name in types]
    return tuple(dict.fromkeys(kinds if isinstance(adapter, Methods) else ["string", *kinds]))


def _members(cls: Any) -> tuple[list[tuple[str, Plan, bool]] | None, bool]:
    """The members of a model, if its aliases are plain, and whether it forbids others."""
    fields = getattr(cls, "__pydantic_fields__", None)
    if fields is None or getattr(cls, "__pydantic_root_model__", False):
        return None, False
    config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    names = {name: field.validation_alias or field.alias or name for name, field in fields.items()}
    if not all(isinstance(name, str) for name in names.values()) or config.get("populate_by_name"):
        return None, False
    members = [(names[name], Plan(field.annotation), field.is_required()) for name, field in fields.items()]
    return members, config.get("extra") == "forbid"
