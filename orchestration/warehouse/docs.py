"""Finish dbt's static documentation: `python -m orchestration.warehouse.docs PAGE`.

The page of dbt 1.11 asks for addresses that do not exist: templates that it fills in too late, or
never. It also has a script that could report its use to another host; the policy forbids any.
"""

from __future__ import annotations

import sys
from pathlib import Path

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data:; font-src data:"
)
REPLACED = {
    "<head>": f'<head><meta http-equiv="Content-Security-Policy" content="{POLICY}">',
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
