import os
import subprocess
import sys

import pytest

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import outbox
from common.settings import ServiceSettings, read
from common.testing import free_port, published
from common.testing.process import serving

PRETENDER = """
import http.server, os, signal

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

def drop(*_):
    os.write(1, b"dropped it all")
    os._exit(3)

signal.signal(signal.SIGTERM, drop)
http.server.HTTPServer(("127.0.0.1", int(os.environ["HTTP_PORT"])), Ready).serve_forever()
"""


async def test_every_test_has_a_database_of_its_own_that_announces_nothing(db):
    assert await published(db) == []
    async with db.begin() as tx:
        await outbox.append(tx, [AuditRecorded(), AuditRecorded()])
    assert await published(db) == [("audit.recorded", AuditRecorded())] * 2
    assert await published(db, "payment.success") == []


test_and_the_next_one_starts_anew = test_every_test_has_a_database_of_its_own_that_announces_nothing


async def test_redis_is_empty(redis):
    assert await redis.dbsize() == 0
    await redis.set("a", "b")


test_redis_is_empty_again = test_redis_is_empty


def test_the_environment_makes_settings(settings_env, database_url):
    assert read(ServiceSettings).database_url == database_url


def test_without_engines_a_test_fails(tmp_path):
    (tmp_path / "test_one.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def service_name(): return 'payment'\n"
        "def test_needs_a_database(database_url): pass\n"
    )
    environment = os.environ | {"COMMDESK_TEST_STACK": str(tmp_path / "absent.json")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    outcome = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == pytest.ExitCode.TESTS_FAILED
    assert f"no engines to test against: {tmp_path / 'absent.json'} is missing" in outcome.stdout
    assert "1 error" in outcome.stdout


@pytest.mark.parametrize(
    ("source", "complaint", "log"),
    [
        (PRETENDER, "SIGTERM ended it with 3", "dropped it all"),
        ("raise SystemExit('no such setting')", "before it was ready", "no such setting"),
    ],
)
async def test_a_service_that_does_not_end_cleanly_fails_its_test(tmp_path, capsys, source, complaint, log):
    (tmp_path / "a_pretender.py").write_text(source)
    environment = {"HTTP_PORT": str(free_port()), "PYTHONPATH": str(tmp_path)}
    with pytest.raises(AssertionError, match=complaint):
        async with serving("a-pretender", environment):
            pass
    assert log in capsys.readouterr().out
