"""Files that hold secrets or belong to another account, written so that nobody else ever sees them."""

import os
import pwd
import stat
from pathlib import Path


def write_private(path: Path, text: str, owner: str | None = None, mode: int = 0o600) -> bool:
    """Replace `path` by `text`, readable by `owner` (or us) alone; true if the content changed.

    What is as it should be is not touched: it may lie where this process only reads.
    """
    unchanged = path.is_file() and path.read_text() == text
    if not unchanged:
        # A neighbour first, then a rename: a reader sees the old file or the new one, and never a wider mode.
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
    give(path, owner)
    return not unchanged


def private_folder(path: Path, owner: str | None = None, mode: int = 0o700) -> Path:
    """The folder `path`, made if absent, belonging to `owner`."""
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    path.chmod(mode)
    give(path, owner)
    return path


def give(path: Path, owner: str | None) -> None:
    """Hand `path` over to the account `owner`; None leaves it ours."""
    if owner is not None:
        account, now = pwd.getpwnam(owner), path.stat()
        if (now.st_uid, now.st_gid) != (account.pw_uid, account.pw_gid):
            os.chown(path, account.pw_uid, account.pw_gid)
