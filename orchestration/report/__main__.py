"""Tell what a run did: `python -m orchestration.report [--since TIME] …`.

Prints it, and writes it as a page.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from orchestration.report.facts import gather
from orchestration.report.page import render
from orchestration.report.terminal import text
from orchestration.warehouse import settings
from orchestration.warehouse.errors import one_line


@one_line
def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="orchestration.report", description=__doc__)
    parser.add_argument("--since", default="-infinity", help="report the loads from then on")
    parser.add_argument(
        "--target-path",
        type=Path,
        default=Path(os.environ.get("DBT_TARGET_PATH", settings.CHECKOUT / "target")),
        help="dbt's artifacts (default: target/)",
    )
    parser.add_argument("--page", type=Path, help="(default: report.html among the artifacts)")
    arguments = parser.parse_args()
    facts = gather(arguments.since, arguments.target_path)
    print(text(facts))
    page = arguments.page or arguments.target_path / "report.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    fresh = page.with_suffix(".new")
    fresh.write_text(render(facts), encoding="utf-8")
    fresh.replace(page)
    shown = page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page
    print(f"\nReport: {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
