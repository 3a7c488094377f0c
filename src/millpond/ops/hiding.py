"""What is written in the place of a secret; loads nothing."""

from __future__ import annotations

import re

HIDDEN = "<hidden>"
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@", re.IGNORECASE)


def hide_url_password(text: str) -> str:
    """A text whose URLs have lost their passwords."""
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
