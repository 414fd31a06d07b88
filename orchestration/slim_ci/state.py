"""The state that a change is compared with: how `pro` was built.

A folder with dbt's manifest of `pro` and, beside it, the files of the project that the manifest
says nothing about. `save` makes it from a build of `pro` that has just succeeded; `dump` adds what
`pro` and the lake hold, and `restore` brings that to another, empty server.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line
from orchestration.warehouse.layouts import LINEAGE, layout, tables
from orchestration.warehouse.server import binaries
from orchestration.warehouse.settings import CHECKOUT

PROJECT_FILE = "dbt_project.yml"
LANDING_FILE = "orchestration/warehouse/provisioning/landing.sql"


@dataclass(frozen=True)
class State:
    """How `pro` was built."""

    folder: Path
    manifest: dict[str, Any]

    def file(self, name: str) -> str | None:
        """Return a file of the project as it was then, or None where the state lacks it."""
        path = self.folder / Path(name).name
        return path.read_text() if path.exists() else None


def read(folder: Path) -> State | None:
    """Return the state in a folder, or None when there is none."""
    path = folder / "manifest.json"
    if not path.exists():
        return None
    manifest = json.loads(path.read_text())
    _check_is_of_pro(manifest, path)
    return State(folder, manifest)


def _check_is_of_pro(manifest: dict[str, Any], path: Path) -> None:
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    databases = {model["database"] for model in models}
    if databases != {"pro"}:
        raise UserError(
            f"{path} describes {len(models)} models in {sorted(databases)}, not a build of pro; "
            "`make run TARGET=pro` makes a state"
        )


def save(folder: Path, artifacts: Path, project: Path = CHECKOUT) -> None:
    """Keep the manifest of a build of `pro`, and the files it says nothing about."""
    manifest = artifacts / "manifest.json"
    _check_is_of_pro(json.loads(manifest.read_text()), manifest)
    folder.mkdir(parents=True, exist_ok=True)
    for source in (manifest, project / PROJECT_FILE, project / LANDING_FILE):
        shutil.copyfile(source, folder / source.name)


def _tool(name: str, *arguments: str, database: str, role: str) -> None:
    """Run a tool of PostgreSQL's, the embedded server's own: no other is sure to be new enough."""
    command = [str(binaries() / name), *arguments, f"--dbname={settings.conninfo(database, role)}"]
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"{name} failed; its own words are above")


def _schemas(folder: Path) -> list[str]:
    """Return the schemas of `pro` that dbt fills."""
    nodes = json.loads((folder / "manifest.json").read_text())["nodes"].values()
    built = {n["schema"] for n in nodes if n["resource_type"] in ("model", "seed", "snapshot")}
    return sorted(built | {"audit"})


def dump(folder: Path) -> None:
    """Add what `pro` and the lake hold."""
    _tool(
        "pg_dump",
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        # Their relations, not the schemas themselves: provisioning may have made those.
        *(f'--table="{schema}".*' for schema in _schemas(folder)),
        f"--file={folder / 'pro.dump'}",
        database="pro",
        role="dbt_pro",
    )
    with psycopg.connect(settings.conninfo("data_lake", "lake_reader")) as lake:
        for landing in map(layout, tables()):
            # `load_xid` is left to the new server: transaction numbers mean something on one only.
            columns = [name for name in (*landing.columns, *LINEAGE) if name != "load_xid"]
            query = sql.SQL("copy (select {} from {} order by {}) to stdout (header)").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.Identifier("forex", landing.table),
                sql.Identifier(landing.key),
            )
            with (
                lake.cursor().copy(query) as rows,
                (folder / f"{landing.table}.copy").open("wb") as file,
            ):
                for block in rows:
                    file.write(block)


def restore(folder: Path) -> None:
    """Bring what `pro` and the lake held to this server, whose own are still empty."""
    with psycopg.connect(settings.conninfo("data_lake", "loader")) as lake:
        for table in tables():
            path = folder / f"{table}.copy"
            if not path.exists():  # the source is new in this change
                continue
            with path.open("rb") as file:
                columns = file.readline().decode().split()
                query = sql.SQL("copy {} ({}) from stdin").format(
                    sql.Identifier("forex", table),
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                )
                with lake.cursor().copy(query) as rows:
                    while block := file.read(1 << 16):
                        rows.write(block)
    with psycopg.connect(settings.conninfo("pro", "dbt_pro")) as pro:
        for schema in _schemas(folder):
            pro.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
    _tool(
        "pg_restore",
        *("--no-owner", "--no-privileges", "--exit-on-error", str(folder / "pro.dump")),
        database="pro",
        role="dbt_pro",
    )
    # The dump was taken with no load under way: pro had read every row that the lake has here.
    with psycopg.connect(settings.conninfo("pro", "dbt_pro")) as pro:
        pro.execute(
            "update audit.watermark set lake_horizon = low_water_mark"
            " from data_lake.read_horizon where lake_horizon is not null"
        )


@one_line
def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="orchestration.slim_ci.state", description=__doc__)
    parser.add_argument("command", choices=["save", "dump", "restore"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "save":
        save(arguments.folder, Path(os.environ.get("DBT_TARGET_PATH", CHECKOUT / "target")))
    else:
        {"dump": dump, "restore": restore}[arguments.command](arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
