"""Reading a configuration: TOML, then the environment, then checks; all faults at once."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from millpond.ops.config.checks import check
from millpond.ops.config.faults import ConfigError, Fault
from millpond.ops.config.schema import default_of, struct_in
from millpond.ops.config.settings import Config

ENV_PREFIX = "MILLPOND__"
_MAX_FILE_BYTES = 1_000_000
_SHAPES = {
    "one": "is a section, not a single value",
    "list": "is a list of sections; write [[{where}]]",
    "dict": "is a table of sections; write [{where}.<name>]",
}
_StructT = TypeVar("_StructT", bound=msgspec.Struct)


class EnvText(str):
    """A value that came as text from the environment and takes the setting's type."""

    __slots__ = ()


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file at `path` (or only defaults) and the environment's overrides.

    Raises:
        ConfigError: Anything at all is wrong; every fault is in it.
    """
    text = ""
    if path is not None:
        try:
            raw = path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError([Fault("", f"cannot read it: {reason}")], str(path)) from error
        if len(raw) > _MAX_FILE_BYTES:
            raise ConfigError([Fault("", "it is larger than 1 MB")], str(path))
        text = raw.decode(errors="replace")
    return load_text(text, environ, source=str(path) if path else "")


def load_text(text: str, environ: Mapping[str, str], *, source: str = "") -> Config:
    """Like `load`, from the text of a file.

    Raises:
        ConfigError: Anything at all is wrong; every fault is in it.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault("", f"it is not TOML: {error}")], source) from error
    faults: list[Fault] = []
    _overlay(raw, environ, faults)
    config = build(Config, raw, "", faults)
    if config is not None:
        faults += check(config)
    if faults or config is None:
        raise ConfigError(faults, source)
    return config


def build(
    struct: type[_StructT],
    raw: Mapping[str, Any],
    path: str,
    faults: list[Fault],
    unset: _StructT | None = None,
) -> _StructT | None:
    """Make a struct of `raw`, adding every fault found on the way; None if there were any.

    Args:
        struct: What to make.
        raw: The values that are set.
        path: Where they stand, for the faults.
        faults: Grows.
        unset: The section as it is when nothing is set, if not what `struct` says.
    """
    before = len(faults)
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        where = _join(path, key)
        if key not in fields:
            faults.append(Fault(where, _unknown(key, list(fields), path)))
            continue
        values[key] = _value(fields[key], value, where, faults)
    for name, field in fields.items():
        if field.required and name not in raw:
            faults.append(Fault(_join(path, name), "is required and not set"))
    if len(faults) > before:
        return None
    try:
        made = struct(**values) if unset is None else msgspec.structs.replace(unset, **values)
    except (ValueError, AssertionError) as error:
        faults.append(Fault(path, str(error)))
        return None
    return made


def _value(field: msgspec.structs.FieldInfo, value: Any, where: str, faults: list[Fault]) -> Any:
    inner = struct_in(field.type)
    if inner is None:
        return _leaf(field.type, value, where, faults)
    shape, struct = inner
    if shape == "one" and isinstance(value, dict):
        unset = default_of(field)
        known = unset if isinstance(unset, msgspec.Struct) else None
        return build(struct, value, where, faults, known)
    if shape == "list" and _all_tables(value, list):
        return tuple(build(struct, item, f"{where}[{at}]", faults) for at, item in enumerate(value))
    if shape == "dict" and _all_tables(value, dict):
        return {key: build(struct, item, _join(where, key), faults) for key, item in value.items()}
    faults.append(Fault(where, _SHAPES[shape].format(where=where)))
    return None


def _all_tables(value: Any, kind: type[list[Any] | dict[str, Any]]) -> bool:
    if not isinstance(value, kind):
        return False
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value
    return all(isinstance(item, dict) for item in items)


def _leaf(annotation: Any, value: Any, where: str, faults: list[Fault]) -> Any:
    attempts: list[Callable[[], Any]] = [lambda: msgspec.convert(value, annotation)]
    if isinstance(value, EnvText):
        attempts = [
            lambda: msgspec.convert(str(value), annotation, strict=False),
            lambda: msgspec.convert(_parsed(value), annotation),
        ]
    message = ""
    for attempt in attempts:
        try:
            return attempt()
        except (msgspec.ValidationError, ValueError) as error:
            message = message or str(error)
    faults.append(Fault(where, _plain_words(message)))
    return None


def _parsed(text: str) -> Any:
    """Text of the environment as a TOML value, such as a list."""
    return tomllib.loads(f"value = {text}")["value"]


def _plain_words(message: str) -> str:
    text = message.split(" - at ", maxsplit=1)[0]
    return text[0].lower() + text[1:] if text else "has a value that does not fit"


def _unknown(key: str, known: list[str], path: str) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if close:
        return f"is not a setting; did you mean {_join(path, close[0])}?"
    return f"is not a setting; known here are {', '.join(sorted(known))}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _overlay(raw: dict[str, Any], environ: Mapping[str, str], faults: list[Fault]) -> None:
    """Lay `MILLPOND__SECTION__KEY=value` over what the file says."""
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX):
            continue
        steps = name.removeprefix(ENV_PREFIX).lower().split("__")
        if not _put(raw, steps, EnvText(environ[name])):
            faults.append(Fault(name, "names a place that is not a section"))


def _put(node: Any, steps: list[str], value: EnvText) -> bool:
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        key: Any = step
        if isinstance(node, list):
            if not step.isdecimal() or int(step) > len(node):
                return False
            key = int(step)
            if key == len(node):
                node.append({})
        elif isinstance(node, dict):
            key = next((known for known in node if known.replace("-", "_") == step), step)
        else:
            return False
        if last:
            node[key] = value
            return True
        if isinstance(node, dict) and key not in node:
            is_list = steps[at + 1].isdecimal()
            node[key] = [] if is_list else {}
        node = node[key]
    return False
