"""Templates into HTML."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from millpond import __version__
from millpond.api.models import Pool
from millpond.api.poller import Snapshot
from millpond.web.assets import Assets
from millpond.web.formatting import FILTERS

SECTIONS = ("ticker", "cards", "blocks", "payouts", "workers", "rejects")
TARGETS = {
    "ticker": "#ticker",
    "cards": "#cards",
    "blocks": "#blocks-body",
    "payouts": "#payouts-body",
    "workers": "#workers-body",
    "rejects": "#rejects-body",
}


class Renderer:
    """Renders pages, and the live sections of the first page once a change."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader("millpond.web"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals.update(static=assets.url, version=__version__)
        self._sections: dict[str, tuple[int, dict[str, Markup]]] = {}

    def page(self, template: str, **values: Any) -> str:
        """A whole page."""
        return self._environment.get_template(template).render(**values)

    def macro(self, template: str, name: str, *values: Any) -> Markup:
        """A part of a page by itself."""
        made: Markup = getattr(self._environment.get_template(template).module, name)(*values)
        return made

    def sections(self, snapshot: Snapshot, pool: Pool) -> dict[str, Markup]:
        """The live sections for one pool; rendered once for all who look."""
        version, made = self._sections.get(pool.id, (-1, {}))
        if version != snapshot.version:
            module: Any = self._environment.get_template("home_sections.html").module
            made = {
                "ticker": module.ticker(pool, snapshot),
                "cards": module.cards(snapshot, pool),
                "blocks": module.blocks(snapshot, pool),
                "payouts": module.payouts(snapshot, pool),
                "workers": module.workers(snapshot, pool),
                "rejects": module.rejects(snapshot, pool),
            }
            self._sections[pool.id] = (snapshot.version, made)
        return made


def partials(old: dict[str, Markup], new: dict[str, Markup]) -> str:
    """What to send so that a page that shows `old` shows `new`; empty if nothing."""
    return "".join(
        f'<hx-partial hx-target="{TARGETS[name]}" hx-swap="innerMorph">{new[name]}</hx-partial>'
        for name in SECTIONS
        if old.get(name) != new[name]
    )
