"""Static files: read once, named by their hash, kept by browsers for ever."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
    "txt": "text/plain; charset=utf-8",
    "toml": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, plain and compressed."""

    body: bytes
    zipped: bytes
    media_type: str
    digest: str


class Assets:
    """All files of `static/`; nothing else can be asked for."""

    def __init__(self) -> None:
        root = files("millpond.web") / "static"
        self._files = {name: _read(item) for name, item in _walk(root, "")}

    def get(self, name: str) -> Asset | None:
        """A file by its path under `static/`."""
        return self._files.get(name)

    def url(self, name: str) -> str:
        """Address of a file; changes whenever the file does."""
        return f"/static/{name}?v={self._files[name].digest}"


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for item in folder.iterdir():
        name = f"{prefix}{item.name}"
        if item.is_dir():
            found += _walk(item, f"{name}/")
        elif item.name.rpartition(".")[2] in _TYPES:
            found.append((name, item))
    return found


def _read(item: Traversable) -> Asset:
    body = item.read_bytes()
    return Asset(
        body=body,
        zipped=gzip.compress(body, 9, mtime=0),
        media_type=_TYPES[item.name.rpartition(".")[2]],
        digest=hashlib.sha256(body).hexdigest()[:12],
    )
