"""Certificates of the stack's own authority: made once, and anew when the authority is another one."""

import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509

from ops import edge_certificate, internal_tls, run_directory
from ops.internal_tls import Certificate
from ops.ports import Layout
from ops.stack import Stack

SERVICES = ("payment", "wallet")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "run", 18000)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of an engine."""
    home = tmp_path / "engine"
    home.mkdir()
    return home


def issued(layout: Layout, home: Path) -> list[Certificate]:
    """All certificates of a stack, made as `up` makes them."""
    engine = internal_tls.prepare_engine(layout, home, None)
    internal_tls.prepare(layout, SERVICES)
    return [engine, *(internal_tls.files(layout, name) for name in SERVICES), edge_certificate.issue(layout)]


def is_trusted(files: Certificate) -> bool:
    """Whether the certificate is of the authority that stands beside it."""
    certificate, authority = (
        x509.load_pem_x509_certificate(path.read_bytes()) for path in (files.certificate, files.authority)
    )
    certificate.verify_directly_issued_by(authority)
    return stat.S_IMODE(files.key.stat().st_mode) == 0o600


def test_certificates_are_made_once(layout: Layout, home: Path) -> None:
    files = issued(layout, home)
    before = [each.certificate.read_text() for each in files]
    assert all(map(is_trusted, files))
    assert [each.certificate.read_text() for each in issued(layout, home)] == before
    authorities = {each.authority.read_text() for each in files}
    assert len(authorities) == 1


@pytest.mark.parametrize("lost", [("authority.pem", "authority.key"), ("authority.key",), ("*",)])
def test_a_new_authority_issues_all_certificates_anew(layout: Layout, home: Path, lost: tuple[str, ...]) -> None:
    before = [each.certificate.read_text() for each in issued(layout, home)]
    for pattern in lost:
        for path in internal_tls.folder(layout).glob(pattern):
            path.unlink()
    if lost == ("*",):
        internal_tls.folder(layout).rmdir()
    files = issued(layout, home)
    assert all(map(is_trusted, files))
    assert not set(before) & {each.certificate.read_text() for each in files}
    assert len({each.authority.read_text() for each in files}) == 1


@pytest.mark.parametrize("lost", ["key", "certificate"])
def test_half_of_a_certificate_is_none(layout: Layout, home: Path, lost: str) -> None:
    for each in issued(layout, home):
        (each.key if lost == "key" else each.certificate).unlink()
    assert all(map(is_trusted, issued(layout, home)))


def test_every_process_starts_anew_under_another_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` restarts those whose environment changed; one that went on would trust the lost authority alone."""
    monkeypatch.setenv("INTERNAL_TLS", "on")
    stack = Stack(Layout(tmp_path / "run", 18000))

    def environments() -> dict[str, dict[str, str]]:
        return {process.name: dict(process.environment) for process in stack.fleet_processes()}

    try:
        before = environments()
        assert environments() == before
        shutil.rmtree(internal_tls.folder(stack.layout))
        after = environments()
    finally:
        run_directory.remove(stack.layout.run_dir)
    assert before.keys() == after.keys() > set(SERVICES)
    assert [name for name in before if before[name] == after[name]] == []
