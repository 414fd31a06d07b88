"""Open a page in the system's Chromium, headless, and note what it does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

GRAVE = ("serious", "critical")


def chromium() -> str | None:
    """Return the system's Chromium; none where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def start() -> Iterator[Browser]:
    """Start it."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium())
        yield started
        started.close()


@dataclass
class Visit:
    """A page that was opened.

    Attributes:
        page: The page.
        complaints: Errors and warnings of the console, and of scripts.
        requests: What was asked for, but for the page itself and what is in it.

    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def faults(self) -> dict[str, list[Any]]:
        """Return what axe-core finds to be a serious or critical obstacle: elements, by rule."""
        violations = Axe().run(self.page).response["violations"]
        return {
            rule["id"]: [node["target"] for node in rule["nodes"]]
            for rule in violations
            if rule["impact"] in GRAVE
        }

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider


@contextmanager
def visit(
    started: Browser, url: str, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Visit]:
    """Open a page and wait until it is quiet.

    Args:
        started: The browser.
        url: The page.
        width: Of the window, in pixels.
        scheme: The colours that the visitor prefers.

    """
    with started.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    ) as context:
        visited = Visit(context.new_page())
        visited.page.on(
            "console",
            lambda said: (
                visited.complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        visited.page.on("pageerror", lambda error: visited.complaints.append(str(error)))
        visited.page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((url.partition("#")[0], "data:"))
                else visited.requests.append(asked.url)
            ),
        )
        visited.page.goto(url)
        visited.page.wait_for_load_state("networkidle")
        yield visited
