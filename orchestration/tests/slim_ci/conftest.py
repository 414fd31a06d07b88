"""A scratch copy of the project, to be edited as a pull request would."""

import shutil
from pathlib import Path

import pytest

from orchestration.slim_ci import build, state
from orchestration.tests.support import copy_checkout
from orchestration.warehouse.settings import CHECKOUT


class Project:
    """A copy of the project whose edits last for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_checkout(folder)
        shutil.copytree(CHECKOUT / "dbt_packages", folder / "dbt_packages")
        self._before: dict[Path, str | None] = {}

    def write(self, name: str, text: str | None) -> None:
        """Write a file, or delete it."""
        path = self.folder / name
        self._before.setdefault(path, path.read_text() if path.exists() else None)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands in a file once."""
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def append(self, name: str, more: str) -> None:
        self.write(name, (self.folder / name).read_text() + more)

    def keep(self) -> None:
        """Make what was written so far part of the project."""
        self._before.clear()

    def reset(self) -> None:
        for path, text in self._before.items():
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
        self._before.clear()

    def select(self, folder: Path) -> tuple[set[str], build.changes.Changes]:
        """What a pull request with these edits builds and tests, and why."""
        dbt = build.Dbt(self.folder, "ci", self.folder / "target/slim_ci")
        chosen, touched = build.select(dbt, state.read(folder), self.folder)
        return {short(node) for node in build.listed(dbt, chosen)}, touched


def short(node: str) -> str:
    """A node's name, without its kind, package and hash."""
    return node.split(".")[-1 if node.startswith("unit_test") else 2]


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("slim_ci") / "project")


@pytest.fixture
def project(copied):
    yield copied
    copied.reset()
