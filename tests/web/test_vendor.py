"""Files from elsewhere are the ones that were published, with their licence."""

import hashlib
import tomllib
from importlib.resources import files

FOLDER = files("millpond.web") / "static" / "vendor"
DECLARED = tomllib.loads((FOLDER / "vendor.toml").read_text())["package"]


def test_every_vendored_file_is_what_it_was():
    for package in DECLARED:
        for entry in package["file"]:
            digest = hashlib.sha256((FOLDER / entry["file"]).read_bytes()).hexdigest()
            assert digest == entry["sha256"], entry["file"]


def test_nothing_is_vendored_without_a_word_and_a_licence():
    listed = {entry["file"] for package in DECLARED for entry in package["file"]}
    present = {item.name for item in FOLDER.iterdir()} - {"vendor.toml"}
    assert present == listed
    for package in DECLARED:
        assert package["licence_file"] in listed
        assert package["licence"] in {"0BSD", "MIT"}
