"""A copy of the checkout in which to run its commands."""

import os
import subprocess
from pathlib import Path

from orchestration.tests.support import copy_checkout
from orchestration.warehouse.settings import CHECKOUT


class Clone:
    """A copy of the tracked and new files, and a clean environment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = copy_checkout(folder / "clone"), folder / "home"
        self.home.mkdir(parents=True)
        # What was downloaded once is not downloaded again.
        (self.folder / ".cache").mkdir(exist_ok=True)
        (self.folder / ".cache/uv").symlink_to(CHECKOUT / ".cache/uv")

    def environment(self) -> dict[str, str]:
        ours = (
            "WAREHOUSE_",
            "PG",
            "DBT_",
            "MAKE",
            "MFLAGS",
            "VIRTUAL_ENV",
            "UV_CACHE",
            "PIP_CACHE",
        )
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return clean | {"HOME": str(self.home)}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment() | environment,
            capture_output=True,
            text=True,
        )

    def dsn(self, database: str) -> str:
        return self.run("make", "-s", "dsn", f"DB={database}").stdout.strip()
