"""Pictures of the pages, for the README: `python -m orchestration.report.screenshots`."""

from __future__ import annotations

import sys
from typing import Literal, NamedTuple

from orchestration.report.browser import chromium, start, visit
from orchestration.warehouse.errors import UserError, one_line
from orchestration.warehouse.settings import CHECKOUT

IMAGES = CHECKOUT / "docs" / "images"
WIDTH, HEIGHT = 1200, 760


class Picture(NamedTuple):
    """A picture: of a place in a page of `target/`, when an element is there."""

    name: str
    page: str
    place: str
    scheme: Literal["light", "dark"]
    element: str


PICTURES = (
    Picture("report-light", "report.html", "", "light", "svg"),
    Picture("report-dark", "report.html", "", "dark", "svg"),
    Picture(
        "lineage", "static_index.html", "#!/overview?g_v=1&g_i=%2Bexposure:*", "light", "canvas"
    ),
)


@one_line
def main() -> int:
    """Take the pictures."""
    if not chromium():
        raise UserError("no Chromium; apt-get install chromium, or your system's package of it")
    IMAGES.mkdir(exist_ok=True)
    with start() as browser:
        for picture in PICTURES:
            page = CHECKOUT / "target" / picture.page
            with visit(browser, page.as_uri() + picture.place, WIDTH, picture.scheme) as visited:
                visited.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                visited.page.locator(picture.element).first.wait_for()
                visited.page.wait_for_timeout(1000)  # the lineage moves into its place
                file = IMAGES / f"{picture.name}.png"
                visited.page.screenshot(path=file)
                print(f"{file.relative_to(CHECKOUT)}: {file.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
