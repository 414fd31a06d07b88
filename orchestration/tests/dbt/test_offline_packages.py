"""`offline_packages/` holds exactly the package macros that the project calls."""

import re

import yaml

from orchestration.warehouse.settings import CHECKOUT

PACKAGES = ("dbt_utils", "dbt_expectations", "dbt_date")
CALL = re.compile(rf"\b({'|'.join(PACKAGES)})\.(\w+)")
DEFINITION = re.compile(r"{%-?\s*(macro|test)\s+(\w+)\s*\(")


def _files(*folders):
    for folder in folders:
        for pattern in ("*.sql", "*.yml"):
            yield from (CHECKOUT / folder).rglob(pattern)


def _called():
    return {
        match.groups()
        for path in _files("models", "macros", "tests", "seeds")
        for match in CALL.finditer(path.read_text())
    }


def _offered():
    return {
        (package, match.group(2))
        for package in PACKAGES
        for path in _files(f"offline_packages/{package}")
        for match in DEFINITION.finditer(path.read_text())
    }


def test_nothing_that_is_called_is_missing():
    assert _called() - _offered() == set()


def test_nothing_is_there_that_is_not_called():
    assert _offered() - _called() == set()


def test_names_and_versions_are_those_of_the_real_packages():
    locked = yaml.safe_load((CHECKOUT / "package-lock.yml").read_text())["packages"]
    named = yaml.safe_load((CHECKOUT / "packages.yml").read_text())["packages"]
    assert [(p["package"], p["version"]) for p in locked] == [
        (p["package"], p["version"]) for p in named
    ]
    for package in locked:
        project = CHECKOUT / "offline_packages" / package["name"] / "dbt_project.yml"
        offline = yaml.safe_load(project.read_text())
        assert (offline["name"], str(offline["version"])) == (package["name"], package["version"])
