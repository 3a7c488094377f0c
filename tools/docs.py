"""Checks the documentation, and writes the pages that are made from the code.

`python tools/docs.py` fails when a relative link leads nowhere, when a page
is not in the index, when a generated page is out of date, or when a page names
a test that does not exist. `--write` brings generated pages up to date first.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from millpond.ops.config.explain import reference

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_TEST = re.compile(r"`(tests/[^`\s]+)`")
_GENERATED_NOTE = "<!-- Made by `make docs` from the settings' structs; do not edit. -->\n"


def generated() -> dict[Path, str]:
    """The pages made from the code, by path."""
    head = (
        "# Configuration\n\n"
        + _GENERATED_NOTE
        + "\nOne TOML file, named with `--config` or `MILLPOND_CONFIG`. Every setting can also be\n"
        "set by the environment: `MILLPOND__HTTP__PORT=8081`, `MILLPOND__DAEMONS__0__PASSWORD=…`.\n"
        "`millpond config show --explain` prints what is in force with the same explanations.\n"
        "Wrong settings are named all at once; the exit code is then 2.\n\n"
    )
    return {DOCS / "configuration.md": head + reference()}


def pages() -> list[Path]:
    """Every page, README and CHANGELOG included."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def broken_links() -> Iterator[str]:
    """Relative links whose target does not exist."""
    for page in pages():
        for target in _LINK.findall(_CODE.sub("", page.read_text())):
            if "://" in target or target.startswith(("#", "mailto:")):
                continue
            if not (page.parent / target.split("#")[0]).exists():
                yield f"{page.relative_to(ROOT)}: {target} does not exist"


def not_in_index() -> Iterator[str]:
    """Pages that docs/README.md does not lead to."""
    index = (DOCS / "README.md").read_text()
    for page in sorted(DOCS.glob("*.md")) + sorted(DOCS.glob("guides/*.md")):
        name = str(page.relative_to(DOCS))
        if name != "README.md" and f"({name})" not in index:
            yield f"docs/README.md does not name {name}"


def unknown_tests() -> Iterator[str]:
    """Tests named in any page that are not there."""
    for page in pages():
        for name in _TEST.findall(page.read_text()):
            path, _, test = name.partition("::")
            file = ROOT / path
            if not file.exists() or (test and f"def {test}(" not in file.read_text()):
                yield f"{page.relative_to(ROOT)} names {name}, which does not exist"


def main() -> int:
    """Check, after writing if asked to; 1 if anything is wrong."""
    faults = []
    for path, text in generated().items():
        if "--write" in sys.argv:
            path.write_text(text)
        if not path.exists() or path.read_text() != text:
            faults.append(f"{path.relative_to(ROOT)} is out of date: python tools/docs.py --write")
    faults += [*broken_links(), *not_in_index(), *unknown_tests()]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    sys.stdout.write(f"{len(pages())} pages, {len(faults)} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
