"""`python -m orchestration.sample ROWS [--seed N] [--defects SHARE] > file.csv`."""

import argparse
import csv
import sys

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="orchestration.sample", description=__doc__)
    parser.add_argument("rows", type=int, help="how many rows")
    parser.add_argument("--seed", type=int, default=1, help="other seed, other rows (default 1)")
    parser.add_argument(
        "--defects", type=float, default=0.0, help="share of rows that cannot be landed or cleaned"
    )
    arguments = parser.parse_args()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(transactions(arguments.rows, arguments.seed, arguments.defects))
    return 0


if __name__ == "__main__":
    sys.exit(main())
