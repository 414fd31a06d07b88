"""One browser for all tests of pages."""

import pytest

from orchestration.report.browser import chromium, start


@pytest.fixture(scope="session")
def browser():
    if not chromium():
        pytest.skip("no Chromium: apt-get install chromium, or your system's package of it")
    with start() as started:
        yield started
