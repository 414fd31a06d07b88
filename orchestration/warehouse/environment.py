"""Point every Python of `.venv` at this checkout's warehouse.

A `.pth` file in the environment imports this module at start-up, so that `.venv/bin/dbt`, typed by
hand, finds the embedded server and its passwords as `make run` does. What the caller has set stays.
"""

import os
from pathlib import Path

# No import of `settings` here: this runs in every start of every tool and must cost nothing.
_folder = Path(os.environ.get("WAREHOUSE_FOLDER", Path(__file__).resolve().parents[2] / ".server"))
_passfile = os.environ.get("WAREHOUSE_PASSFILE", str(_folder / "pgpass"))
if Path(_passfile).exists():
    os.environ.setdefault("PGPASSFILE", _passfile)
if not os.environ.get("WAREHOUSE_HOST") and (_folder / "port").exists():
    os.environ.setdefault("WAREHOUSE_PORT", (_folder / "port").read_text().strip())
os.environ.setdefault("DBT_PROFILES_DIR", str(Path(__file__).resolve().parents[2] / "profiles"))
