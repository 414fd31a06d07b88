"""Finish dbt's static documentation: `python -m orchestration.warehouse.docs PAGE`.

The page of dbt 1.11 asks for addresses that do not exist: templates that it fills in too late, or
never. It also has a script that could report its use to another host; the policy forbids any. Its
letters are too pale for many eyes, its links are told by their colour alone, and some of what it
shows is out of reach without a mouse.
"""

from __future__ import annotations

import sys
from pathlib import Path

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data:; font-src data:"
)
# Its own rules are narrower, so these must insist.
STYLE = """
a:not(.btn) { color: #00697a !important; }
[marked] a { text-decoration: underline !important; }
.btn-primary { background: #00697a !important; border-color: #00697a !important; }
.filename-normal, .switch-label, .detail dt, .table th, h1 small { color: #4f5861 !important; }
.field-label { color: #7fd3e4 !important; }
"""
REPLACED = {
    "<head>": f'<head><meta http-equiv="Content-Security-Policy" content="{POLICY}">',
    "</head>": f"<style>{STYLE}</style></head>",
    'ng-click="closeGraph()"': 'ng-click="closeGraph()" aria-label="Close the graph"',
    'class="detail-body"': 'class="detail-body" tabindex="0"',
    # The lineage: nodes nearer to each other, so that their names are larger; lines to be seen,
    # and white letters on a ground that is dark enough.
    "rankSep:200": "rankSep:110",
    '"font-size":"24px"': '"font-size":"30px"',
    '"font-weight":300,"font-family"': '"font-weight":600,"font-family"',
    '"text-outline-width":"1px"': '"text-outline-width":"0px"',
    '"#006f8a"': '"#7fb9c9"',
    '"#5fb825"': '"#3d7f16"',
    '"#ff694b"': '"#c83c1e"',
    # AngularJS fills in what begins with ng-attr- before the browser sees it.
    '<use xlink:href="{{': '<use ng-attr-xlink:href="{{',
    """<link rel="shortcut icon" href="${require('./assets/favicons/favicon.ico')}"/>""": (
        '<link rel="icon" href="data:,"/>'
    ),
}


def finish(page: str) -> str:
    """Return the page, able to stand alone."""
    for old, new in REPLACED.items():
        page = page.replace(old, new)
    return page


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(finish(file.read_text(encoding="utf-8")), encoding="utf-8")
