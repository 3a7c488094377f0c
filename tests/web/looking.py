"""What browser tests look at on any page."""

from __future__ import annotations

from playwright.async_api import Page

WIDE, PHONE = (1280, 900), (390, 844)

# Relative luminance and contrast as WCAG 2.2 defines them, over every element with text.
CONTRAST = """() => {
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
  const lin = v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const lum = c => .2126 * lin(c[0]) + .7152 * lin(c[1]) + .0722 * lin(c[2]);
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const ground = e => { const stack = []; for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (!c.startsWith('rgb')) continue;
      stack.push(parse(c)); if (parse(c)[3] === 1) break; }
    return stack.reverse().reduce((below, c) => over(c, below), [255, 255, 255, 1]); };
  const bad = [];
  document.querySelectorAll('main *, header *, footer *').forEach(e => {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('.hidden, .u-wrap, svg')) return;
    const back = ground(e), front = over(parse(getComputedStyle(e).color), back);
    const [hi, lo] = [lum(front), lum(back)].sort((a, b) => b - a);
    const ratio = (hi + .05) / (lo + .05);
    if (ratio < 4.5) bad.push(e.outerHTML.slice(0, 90) + ' ' + ratio.toFixed(2));
  });
  return bad; }"""


async def fits(page: Page) -> bool:
    """Nothing makes the page scroll sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
