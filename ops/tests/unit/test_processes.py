import json
import os
import subprocess
from configparser import RawConfigParser
from pathlib import Path

from ops.processes import MARK, Process, start_script, supervisor_config

RUN_DIR = Path("/srv/a 100% stack")


def test_a_start_script_hands_over_any_value_unchanged(tmp_path: Path) -> None:
    awkward = {
        "JSON": json.dumps({"a": "it's", "b": '"$HOME" `id`'}),
        "LINES": "one\ntwo",
        "EMPTY": "",
        "PERCENT": "%s",
    }
    script = tmp_path / "start"
    script.write_text(start_script(Process("x", ("/usr/bin/env", "-0"), awkward), tmp_path))
    out = subprocess.run(["/bin/sh", str(script)], env={}, capture_output=True, text=True, check=True).stdout
    seen = dict(entry.split("=", 1) for entry in out.rstrip("\0").split("\0"))
    assert {name: seen[name] for name in awkward} == awkward
    assert seen[MARK] == str(tmp_path)


def test_supervisord_starts_nothing_by_itself_and_restarts_what_dies() -> None:
    processes = [Process("redis", ("redis-server",), user="redis"), Process("edge", ("traefik",), stop_signal="INT")]
    text = supervisor_config(processes, run_dir=RUN_DIR, engines=RUN_DIR / "engines", as_root=True, files_max=1024)
    parsed = RawConfigParser()
    parsed.read_string(text)
    assert {name for name in parsed.sections() if name.startswith("program:")} == {"program:redis", "program:edge"}
    for name in ("program:redis", "program:edge"):
        assert parsed[name]["autostart"] == "false"
        assert parsed[name]["autorestart"] == "true"
    assert parsed["program:redis"]["user"] == "redis"
    assert "user" not in parsed["program:edge"]
    assert parsed["program:edge"]["stopsignal"] == "INT"
    assert parsed["supervisord"]["user"] == "root"
    # supervisord expands percent signs; a path with one has to survive that.
    assert parsed["program:edge"]["command"] % {} == str(RUN_DIR / "engines" / "start" / "edge")


def test_a_process_steps_back_as_far_as_it_says(tmp_path: Path) -> None:
    look = ("/usr/bin/env", "nice")  # without arguments it tells its own niceness
    for nice in (0, 7):
        script = tmp_path / "start"
        script.write_text(start_script(Process("x", look, nice=nice), tmp_path))
        before = os.nice(0)
        told = subprocess.run(["/bin/sh", str(script)], capture_output=True, text=True, check=True).stdout
        assert int(told) == min(19, before + nice)
