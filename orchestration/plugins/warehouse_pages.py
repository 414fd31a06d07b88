"""Links in Airflow's menu to the pages that the nightly run publishes, and the pages themselves.

A page is shown to whoever has logged in to Airflow and may see its documentation menu. It runs in
a sandbox: a script in it, should one ever get there with the data, is no script of Airflow's, has
none of the reader's rights, and reaches no host.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

PREFIX = "/warehouse"
PAGES = {"static_index.html": "Warehouse docs", "report.html": "Last run report"}
HEADERS = {
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; font-src data:;"
        " script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'"
    ),
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

app = FastAPI(openapi_url=None, dependencies=[Depends(requires_access_view(AccessView.DOCS))])


@app.get("/{name}")
def show(name: str) -> FileResponse:
    """Return a published page."""
    if name not in PAGES:
        raise HTTPException(404)
    page = Path(os.environ["DBT_PUBLISH_PATH"]) / name
    if not page.exists():
        raise HTTPException(404, "Not made yet: forex__warehouse__nightly makes it")
    return FileResponse(page, media_type="text/html", headers=HEADERS)


class WarehousePages(AirflowPlugin):
    """What Airflow is told of them."""

    name = "warehouse_pages"
    fastapi_apps: ClassVar[list[Any]] = [{"name": name, "app": app, "url_prefix": PREFIX}]
    external_views: ClassVar[list[Any]] = [
        {"name": title, "href": f"{PREFIX}/{name}", "destination": "nav", "category": "browse"}
        for name, title in PAGES.items()
    ]
