"""The configuration as text: what is in force, what each setting means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from millpond.ops.config.schema import (
    Setting,
    default_of,
    describe,
    is_secret,
    section_doc,
    struct_in,
    toml_value,
)
from millpond.ops.config.settings import Config
from millpond.ops.hiding import hide_url_password

HIDDEN = "<hidden>"


def in_force(config: Config) -> str:
    """The settings as TOML, secrets hidden."""
    return "\n".join(_section(config, "", {})).strip()


def explained(config: Config) -> str:
    """The settings as TOML, each under a comment that tells what it is."""
    notes = {setting.path: setting for setting in describe(Config)}
    return "\n".join(_section(config, "", notes)).strip()


def template() -> str:
    """A configuration to start from: every setting with its default, explained."""
    config = msgspec.structs.replace(Config(), pools=Config().the_pools)
    head = (
        "# Configuration of Millpond. Everything is set to its default here; what is\n"
        "# left out keeps its default. `millpond config show --explain` prints this\n"
        "# with the values in force. To mine a real coin, name its daemon:\n"
        "#\n"
        "# [[daemons]]\n"
        '# coin = "litecoin"\n'
        '# url = "http://127.0.0.1:9332"\n'
        '# cookie_file = "/var/lib/litecoin/.cookie"\n'
    )
    return f"{head}\n{explained(config)}\n"


def reference() -> str:
    """Every setting as a Markdown table a section, for the documentation."""
    lines: list[str] = []
    for path, struct, made in _sections(Config, "", None):
        settings = [
            setting
            for setting in describe(struct, made=made)
            if not any(mark in setting.path for mark in (".", "["))
        ]
        if not settings:
            continue
        lines += [f"## {_heading(path)}", "", section_doc(struct), ""]
        lines += ["| setting | type | default | unit | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{s.name}` | {_cell(s.type)} | {_default(s)} | {s.unit} | {_cell(s.meaning)} |"
            for s in map(_Row, settings)
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


class _Row:
    def __init__(self, setting: Setting) -> None:
        self.name = setting.path
        self.type = setting.type
        self.default = setting.default
        self.unit = setting.unit
        self.meaning = setting.meaning


def _default(row: _Row) -> str:
    return "required" if row.default == "required" else f"`{row.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _heading(path: str) -> str:
    if not path:
        return "The whole file"
    if path.endswith("[]"):
        return f"`[[{path.removesuffix('[]')}]]`"
    return f"`[{path}]`"


def _sections(
    struct: type[msgspec.Struct], path: str, made: msgspec.Struct | None
) -> Iterator[tuple[str, type[msgspec.Struct], msgspec.Struct | None]]:
    yield path, struct, made
    for field in msgspec.structs.fields(struct):
        inner = struct_in(field.type)
        if inner is not None:
            tail = {"one": "", "list": "[]", "dict": ".<name>"}[inner[0]]
            base = path.removesuffix("[]")
            unset = default_of(field)
            section = unset if isinstance(unset, msgspec.Struct) else None
            yield from _sections(inner[1], f"{base}.{field.name}{tail}".lstrip("."), section)


def _section(
    value: msgspec.Struct, path: str, notes: dict[str, Setting], generic: str = ""
) -> Iterator[str]:
    nested: list[tuple[str, str, Any]] = []
    for field in msgspec.structs.fields(type(value)):
        item = getattr(value, field.name)
        inner = struct_in(field.type)
        if inner is None:
            yield from _comment(notes.get(f"{generic}{field.name}"))
            prefix = "# " if item is None else ""
            shown = HIDDEN if item and is_secret(field.name, field.type) else item
            yield f"{prefix}{field.name} = {toml_value(_shown(shown))}"
        elif item is not None:
            nested.append((field.name, inner[0], item))
    for name, shape, item in nested:
        where = f"{path}.{name}" if path else name
        yield from _nested(where, f"{generic}{name}", shape, item, notes)


def _nested(
    where: str, generic: str, shape: str, item: Any, notes: dict[str, Setting]
) -> Iterator[str]:
    if shape == "one":
        yield from ("", f"[{where}]")
        yield from _section(item, where, notes, f"{generic}.")
    elif shape == "list":
        for entry in item:
            yield from ("", f"[[{where}]]")
            yield from _section(entry, where, notes, f"{generic}[].")
    else:
        for key, entry in item.items():
            yield from ("", f"[{where}.{key}]")
            yield from _section(entry, f"{where}.{key}", notes, f"{generic}.<name>.")


def _comment(setting: Setting | None) -> Iterator[str]:
    if setting is None:
        return
    yield ""
    unit = f", {setting.unit}" if setting.unit else ""
    if setting.meaning:
        yield f"# {setting.meaning}"
    yield f"# {setting.type}{unit}; default {setting.default}"


def _shown(value: Any) -> Any:
    return hide_url_password(value) if isinstance(value, str) else value
