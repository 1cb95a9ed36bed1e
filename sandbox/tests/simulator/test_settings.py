"""Settings of the simulator that come from files."""

from pathlib import Path

import pytest

from sandbox import settings


def test_settings_may_be_files_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CASHFREE_APP_ID", raising=False)
    monkeypatch.setenv("CASHFREE_SECRET_KEY", "of the environment")
    (tmp_path / "CASHFREE_APP_ID").write_text("TEST4711")
    (tmp_path / "CASHFREE_SECRET_KEY").write_text("of the file")
    read = settings.read({"SANDBOX_SECRETS_DIRECTORY": str(tmp_path)})
    assert (read.app_id, read.secret_key) == ("TEST4711", "of the environment")


def test_without_a_folder_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CASHFREE_APP_ID", raising=False)
    assert settings.read({}).app_id == "TESTsandbox"
