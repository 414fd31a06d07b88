"""What a pull request runs, on this machine: `python -m orchestration.slim_ci.laptop --base REV`.

On a throw-away server: the base revision is built into `pro`, then the working tree, committed or
not, is built against that.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from orchestration.slim_ci import state
from orchestration.warehouse import scratch
from orchestration.warehouse.errors import UserError, one_line
from orchestration.warehouse.settings import CHECKOUT


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, check=False)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[0]
        raise UserError(
            f"git {arguments[0]}: {reason}; name a revision: make slim-ci BASE=<revision>"
        )
    return done.stdout


def check_out(revision: str, folder: Path) -> str:
    """Put the project where `revision` and HEAD parted into a folder; return the commit."""
    commit = _git("merge-base", "HEAD", revision).decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
        archive.extractall(folder, filter="data")
    (folder / "dbt_packages").symlink_to(CHECKOUT / "dbt_packages")
    return commit


@one_line
def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="orchestration.slim_ci.laptop", description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--source", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="base-", dir=CHECKOUT / ".cache") as folder:
        base = Path(folder)
        commit = check_out(arguments.base, base)
        print(f"Building {commit[:12]}, the base, into a throw-away pro", flush=True)
        with scratch.server() as own:

            def python(*command: str) -> int:
                return subprocess.run(
                    [sys.executable, "-m", *command], env=own, check=False
                ).returncode

            if python("orchestration.loader", arguments.source):
                return 1
            artifacts = base / "target"
            built = python(
                *("dbt.cli.main", "--quiet", "build", "--target", "pro"),
                *("--project-dir", str(base), "--profiles-dir", str(base / "profiles")),
                *("--target-path", str(artifacts), "--log-path", str(artifacts)),
            )
            if built:
                raise UserError(f"the base, {commit[:12]}, does not build: see above")
            state.save(base / "state", artifacts, project=base)
            return python(
                *("orchestration.slim_ci.build", "--target", "ci"),
                *("--state", str(base / "state")),
            )


if __name__ == "__main__":
    sys.exit(main())
