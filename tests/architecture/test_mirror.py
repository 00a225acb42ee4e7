"""The unit tests stand in the folders of what they test."""

from pathlib import Path

import semprune

PACKAGE = Path(semprune.__file__).parent
TESTS = Path(__file__).parents[1] / "unit"


def without_folder(tests: Path, package: Path) -> list[str]:
    """Test files in folders that the package does not have."""
    names = (path.relative_to(tests) for path in sorted(tests.rglob("test_*.py")))
    return [name.as_posix() for name in names if not (package / name.parent).is_dir()]


def test_every_folder_of_tests_is_one_of_the_package():
    assert without_folder(TESTS, PACKAGE) == []


def test_a_folder_that_is_not_in_the_package_is_seen(tmp_path):
    for name in ("io/test_files.py", "io/old/test_names.py", "test_lm_eval.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert without_folder(tmp_path, PACKAGE) == ["io/old/test_names.py"]
