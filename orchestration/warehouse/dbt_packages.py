"""Install the dbt packages: from the hub, or else from `offline_packages/`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from orchestration.warehouse.settings import CHECKOUT

HUB = "https://hub.getdbt.com/api/v1/dbt-labs/dbt_utils.json"
INSTALLED = CHECKOUT / "dbt_packages"
STAMP = INSTALLED / "installed_from"  # what the installed packages follow from


def hub_is_reachable(seconds: float = 5) -> bool:
    """Ask the hub once; `dbt deps` alone would ask for a long time before it gives up."""
    try:
        with urllib.request.urlopen(HUB, timeout=seconds):
            return True
    except (urllib.error.URLError, OSError):
        return False


def install_offline() -> None:
    """Copy our own implementations to where `dbt deps` puts the real packages."""
    shutil.rmtree(INSTALLED, ignore_errors=True)
    INSTALLED.mkdir()
    for package in sorted((CHECKOUT / "offline_packages").iterdir()):
        if package.is_dir():
            shutil.copytree(package, INSTALLED / package.name)


def _wanted() -> str:
    files = [CHECKOUT / "packages.yml", CHECKOUT / "package-lock.yml"]
    files += sorted(file for file in (CHECKOUT / "offline_packages").rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(CHECKOUT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _install() -> None:
    if hub_is_reachable():
        dbt = Path(sys.executable).with_name("dbt")
        if subprocess.run([dbt, "deps", "--quiet"], cwd=CHECKOUT, check=False).returncode == 0:
            return
        shutil.rmtree(INSTALLED, ignore_errors=True)
    print("The dbt package hub cannot be reached: installing offline_packages/ instead")
    install_offline()


def main() -> int:
    """Run the command line; with `--if-stale`, current packages are left alone."""
    if "--if-stale" in sys.argv[1:] and STAMP.exists() and STAMP.read_text() == _wanted():
        print("The dbt packages are current")
        return 0
    _install()
    STAMP.write_text(_wanted())
    return 0


if __name__ == "__main__":
    sys.exit(main())
