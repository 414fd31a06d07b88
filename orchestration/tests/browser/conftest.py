"""One browser for all tests of pages."""

import pytest

from orchestration.report.browser import chromium, start


# Not for the session: playwright leaves an event loop running in the process until it stops.
@pytest.fixture(scope="module")
def browser():
    if not chromium():
        pytest.skip("no Chromium: apt-get install chromium, or your system's package of it")
    with start() as started:
        yield started
