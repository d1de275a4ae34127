"""What a newcomer is told exists, and CI elsewhere runs what CI runs here."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PATHS = sorted({*re.findall(r"`((?:kyros_spark|tests|docs|findings|\.\w+)/[\w./]*|\.ci/run)`",
                            CONTRIBUTING)})  # fmt: skip
COPIED = re.findall(r"\| `(\w+)` in `(kyros_spark/[\w/]+\.py)`", CONTRIBUTING)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_the_guide_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), COPIED)
def test_what_to_copy_from_is_in_its_file(name, path):
    assert re.search(rf"\b{name}\b", (ROOT / path).read_text())


def test_the_guide_names_what_it_should():
    assert len(COPIED) >= 4 and len(PATHS) > 12


def test_the_workflow_runs_what_ci_runs_and_may_only_read():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert workflow["permissions"] == {"contents": "read"}


def test_the_container_has_what_the_makefile_asks_for_and_is_no_root():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    dockerfile = (ROOT / ".devcontainer" / container["build"]["dockerfile"]).read_text()
    for package in ("python3-venv", "make", "git", "openjdk-17", "npm"):
        assert package in dockerfile
    assert f"USER {container['remoteUser']}" in dockerfile


def test_the_site_has_every_page_and_the_api_every_public_function():
    import kyros_spark

    text = (ROOT / "mkdocs.yml").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"[\w-]+\.md", text)) == pages
    documented = {
        name.rpartition(".")[2]
        for name in re.findall(r"^::: ([\w.]+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    }
    assert documented == {name for name in kyros_spark.__all__ if name != "Config"}
