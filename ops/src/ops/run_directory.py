"""Which account runs an engine, and a folder which that account can reach."""

import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

# A unix socket's path may have 107 bytes; the longest that we make below the folder has about 40.
LONGEST_FOLDER_BYTES = 60


def account(*preferred: str) -> str | None:
    """The first of the `preferred` accounts that exists, else `nobody`; None (ourselves) when we are not root."""
    if os.geteuid() != 0:
        return None
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in (*preferred, "nobody") if name in accounts), None)


def engines_folder(run_dir: Path) -> Path:
    """The folder for the engines' data, sockets and start scripts.

    It is `run_dir/engines`; where other accounts cannot enter that (a clone below /root) or its path is too long for
    a socket, `run_dir/engines` is a link to a private folder below /var/tmp.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    here = run_dir / "engines"
    if here.is_dir():
        return here.resolve()
    here.unlink(missing_ok=True)  # a link whose folder somebody cleaned away
    reachable = os.geteuid() != 0 or others_can_enter(run_dir)
    if reachable and len(os.fsencode(here)) <= LONGEST_FOLDER_BYTES:
        here.mkdir(mode=0o711)
        here.chmod(0o711)
        return here
    # mkdtemp: nobody can have put a folder of that name there before us.
    elsewhere = Path(tempfile.mkdtemp(prefix="commdesk-", dir="/var/tmp"))
    elsewhere.chmod(0o711)
    here.symlink_to(elsewhere)
    return elsewhere


def others_can_enter(folder: Path) -> bool:
    """Whether an account that owns none of it can pass through every folder on the way."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder.resolve(), *folder.resolve().parents))


def remove(run_dir: Path) -> None:
    """Delete the stack's folder and the engines' folder that it links to."""
    engines = run_dir / "engines"
    if engines.is_symlink():
        shutil.rmtree(engines.resolve(), ignore_errors=True)
    shutil.rmtree(run_dir, ignore_errors=True)
