"""What the settings' structs say about themselves.

A setting's meaning is its line under `Attributes:` in the struct's docstring
or its `msgspec.Meta` description; its unit is `Meta(extra={"unit": …})` or
the ending of its name (`_s`, `_ms`, `_bps`, …). A setting is secret if its
`Meta` says so or its name does.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

_UNITS = {
    "_s": "seconds",
    "_ms": "milliseconds",
    "_bp": "basis points (1/100 of a percent)",
    "_bps": "basis points (1/100 of a percent)",
    "_bytes": "bytes",
    "_mb": "megabytes",
    "_minutes": "minutes",
    "_hours": "hours",
    "_days": "days",
    "_sat": "base units",
    "_per_kvb": "coins per 1,000 virtual bytes",
}
_SECRET_NAME = re.compile(r"(password|secret|token|private|passphrase|api_key|operator_key)$")
_ENTRY = re.compile(r"^ {4}([a-z_][a-z0-9_]*(?:, [a-z_][a-z0-9_]*)*)(?: \([^)]*\))?: (.*)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as a person sees it."""

    path: str
    type: str
    default: str
    unit: str
    meaning: str
    secret: bool


def plain(annotation: Any) -> Any:
    """A type without its `Annotated` wrapping."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def struct_in(annotation: Any) -> tuple[str, type[msgspec.Struct]] | None:
    """How a struct hangs in a field: `one`, `list` or `dict` of it; None for a plain value."""
    annotation = plain(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if _is_struct(annotation):
        return "one", annotation
    if origin in (list, tuple) and args and _is_struct(plain(args[0])):
        return "list", plain(args[0])
    if origin is dict and _is_struct(plain(args[1])):
        return "dict", plain(args[1])
    if origin in (Union, types.UnionType):
        inner = [plain(arg) for arg in args if arg is not type(None)]
        if len(inner) == 1 and _is_struct(inner[0]):
            return "one", inner[0]
    return None


def describe(
    struct: type[msgspec.Struct], prefix: str = "", made: msgspec.Struct | None = None
) -> Iterator[Setting]:
    """Every setting under `struct`, in the order of the fields.

    Args:
        struct: The settings' struct.
        prefix: What stands before each setting's name.
        made: The section as it is when nothing is set, where that is not
            simply what `struct` says.
    """
    meanings = field_docs(struct)
    for field in msgspec.structs.fields(struct):
        path = f"{prefix}{field.name}"
        inner = struct_in(field.type)
        if inner is not None:
            tail = {"one": ".", "list": "[].", "dict": ".<name>."}[inner[0]]
            section = default_of(field)
            inside = section if isinstance(section, msgspec.Struct) else None
            yield from describe(inner[1], path + tail, inside)
            continue
        meta = _meta(field.type)
        yield Setting(
            path=path,
            type=_type_text(field.type),
            default=_default_text(field) if made is None else toml_value(getattr(made, field.name)),
            unit=_unit(field.name, meta),
            meaning=_meta_text(meta, "description") or meanings.get(field.name, ""),
            secret=is_secret(field.name, field.type),
        )


def section_doc(struct: type[msgspec.Struct]) -> str:
    """First paragraph of a settings struct's docstring."""
    return (inspect.getdoc(struct) or "").split("\n\n")[0].replace("\n", " ")


def field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The entries under `Attributes:` of the docstrings of `struct` and its bases."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        found.update(_attribute_entries(inspect.cleandoc(base.__doc__ or "")))
    return found


def is_secret(name: str, annotation: Any) -> bool:
    """True if the value must never be shown."""
    for meta in _meta(annotation):
        if (meta.extra or {}).get("secret"):
            return True
    return _SECRET_NAME.search(name) is not None


def _attribute_entries(doc: str) -> Iterator[tuple[str, str]]:
    _, _, rest = doc.partition("Attributes:\n")
    names, text = "", ""
    for line in rest.split("\n\n")[0].splitlines():
        entry = _ENTRY.match(line)
        if entry:
            yield from ((name, text) for name in names.split(", ") if name)
            names, text = entry[1], entry[2].strip()
        else:
            text += " " + line.strip()
    yield from ((name, text) for name in names.split(", ") if name)


def _is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def _meta(annotation: Any) -> list[msgspec.Meta]:
    found: list[msgspec.Meta] = []
    while get_origin(annotation) is Annotated:
        found += [arg for arg in get_args(annotation)[1:] if isinstance(arg, msgspec.Meta)]
        annotation = get_args(annotation)[0]
    return found


def _meta_text(metas: list[msgspec.Meta], name: str) -> str:
    return next((str(getattr(meta, name)) for meta in metas if getattr(meta, name)), "")


def _unit(name: str, metas: list[msgspec.Meta]) -> str:
    for meta in metas:
        if meta.extra and "unit" in meta.extra:
            return str(meta.extra["unit"])
    return next((unit for tail, unit in _UNITS.items() if name.endswith(tail)), "")


def _type_text(annotation: Any) -> str:
    limits = _limits(_meta(annotation))
    annotation = plain(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        text = " | ".join(repr(arg) for arg in args)
    elif origin in (Union, types.UnionType):
        parts = [_type_text(arg) for arg in args if arg is not type(None)]
        text = " | ".join(parts)
    elif origin in (list, tuple):
        text = f"list of {_type_text(args[0])}"
    elif origin is dict:
        text = f"table of {_type_text(args[1])}"
    elif isinstance(annotation, type) and issubclass(annotation, str) and annotation is not str:
        members = typing.cast("Any", annotation)
        text = " | ".join(repr(str(member.value)) for member in members)
    else:
        names = {str: "text", int: "integer", float: "number", bool: "true | false"}
        text = names.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return text + limits


def _limits(metas: list[msgspec.Meta]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(meta, name)}"
        for meta in metas
        for name, sign in signs.items()
        if getattr(meta, name) is not None
    ]
    return f" ({', '.join(found)})" if found else ""


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """What a field is when nothing is set; `msgspec.NODEFAULT` if it must be set."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _default_text(field: msgspec.structs.FieldInfo) -> str:
    return "required" if field.required else toml_value(default_of(field))


def toml_value(value: Any) -> str:
    """A plain value as TOML writes it; nothing for None."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, bool | str):
        return msgspec.json.encode(value).decode()
    if isinstance(value, int | float):
        return str(value)
    return msgspec.json.encode(str(value)).decode()
