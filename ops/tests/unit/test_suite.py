"""What `commdesk test` runs."""

from ops.ports import ROOT
from ops.suite import lanes


def test_every_test_of_the_project_is_in_one_lane() -> None:
    chosen = [path for lane in lanes(ROOT) for path in lane]
    assert len(chosen) == len(set(chosen))
    hidden = {".venv", ".run", ".git"}
    tests = [
        file.relative_to(ROOT)
        for folder in ROOT.iterdir()
        if folder.is_dir() and folder.name not in hidden
        for file in folder.rglob("test_*.py")
        if "src" not in file.relative_to(ROOT).parts
    ]
    assert len(tests) > 100
    outside = [str(test) for test in tests if sum(test.is_relative_to(path) for path in chosen) != 1]
    assert outside == []
