"""Addresses of the anchor: what is none is refused by name, before anything is sealed."""

from pathlib import Path

import pytest

from ledger.anchors import Anchor, AnchorUrlInvalid


@pytest.mark.parametrize("url", ["http://bucket/heads", "s3:///heads", "s3://key:secret@bucket", "file://host/heads"])
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(AnchorUrlInvalid):
        Anchor(url)


def test_a_folder_that_cannot_be_made_is_refused_by_the_setting_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnchorUrlInvalid, match="LEDGER_ANCHOR_URL"):
        Anchor(f"file://{tmp_path}/file/heads")
