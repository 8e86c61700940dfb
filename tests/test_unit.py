"""The systemd unit: what systemd says about it, and that it agrees with what the service does."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import line, service
from monitor.config import load_config
from monitor.config.layers import IMPLICIT_FILES  # the real ones: every test has none
from monitor.errors import ConfigError, ModelError, MonitorError

LONG_S = 60.0
"""No command here takes a tenth of it."""


@pytest.fixture
def unit_file(repository: Path) -> Path:
    return repository / "systemd" / "cry-monitor.service"


@pytest.fixture
def guide(repository: Path) -> str:
    return (repository / "docs" / "service.md").read_text()


@pytest.fixture
def unit(unit_file: Path) -> dict[str, str]:
    """Every line of the unit; the last one, where a key has several."""
    parser = configparser.RawConfigParser(strict=False, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keys as they are written
    parser.read(unit_file)
    return {key: value for section in parser.sections() for key, value in parser[section].items()}


def seconds(span: str) -> float:
    """Read what the unit writes; it writes seconds only."""
    found = re.fullmatch(r"(\d+)s", span)
    assert found, f"{span} is not written as seconds"
    return float(found[1])


# What systemd says


@pytest.fixture
def analyze() -> str:
    """The program that judges units; without it the test is skipped, and fails in CI."""
    path = shutil.which("systemd-analyze")
    if path is None:
        reason = "systemd-analyze is not installed (Debian: apt install systemd)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def installed(text: str, folder: Path) -> Path:
    """Write a copy of a unit whose program exists on this machine, as systemd wants it."""
    copy = folder / "cry-monitor.service"
    changed = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.MULTILINE)
    assert changed != text
    copy.write_text(changed)
    return copy


def complaints(analyze: str, copy: Path, *options: str) -> str:
    """Return what systemd has against a unit; of the units that it names, nothing is asked."""
    command = [analyze, *options, "verify", "--man=no", "--recursive-errors=no", str(copy)]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(copy.parent), "SYSTEMD_LOG_LEVEL": "notice"}
    asked = subprocess.run(command, capture_output=True, text=True, timeout=LONG_S, check=False, env=environ)
    said = asked.stdout + asked.stderr
    return said if said or not asked.returncode else f"exit code {asked.returncode}"


def test_systemd_finds_no_fault(analyze: str, unit_file: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` says nothing against the unit, and does say what is wrong with a bad one."""
    text = unit_file.read_text()
    assert not complaints(analyze, installed(text, tmp_path))
    misspelt = installed(text.replace("WatchdogSec=", "WatchdogSeconds="), tmp_path)
    assert "WatchdogSeconds" in complaints(analyze, misspelt)


def test_a_user_can_run_it(analyze: str, guide: str, repository: Path, tmp_path: Path) -> None:
    """The command of docs/service.md makes a unit for a user's own systemd, without what only root may ask."""
    command = re.search(r"^ +(sed (?:.*\\\n)*.*) > ~/\.config/systemd/user/cry-monitor\.service$", guide, re.MULTILINE)
    assert command
    made = subprocess.run(
        ["sh", "-c", command[1]], cwd=repository, capture_output=True, text=True, timeout=LONG_S, check=True
    ).stdout
    assert not complaints(analyze, installed(made, tmp_path), "--user")
    assert not re.search(r"^(User|StateDirectory|DeviceAllow|ProtectSystem|SystemCallFilter)=", made, re.MULTILINE)
    assert "\nWatchdogSec=" in made
    assert "--config %h/.config/cry-monitor/config.toml\n" in made
    assert made.endswith("[Install]\nWantedBy=default.target\n")


def test_the_exposure_is_as_documented(analyze: str, guide: str, unit_file: Path) -> None:
    """`systemd-analyze security` finds the unit no more exposed than docs/service.md says."""
    documented = re.search(r"says exposure (\d)\.(\d) ", guide)
    assert documented
    threshold = "".join(documented.groups())
    asked = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", f"--threshold={threshold}", unit_file],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert "Overall exposure level" in asked.stdout, asked.stderr
    assert asked.returncode == 0, asked.stdout[-200:]


def test_a_credential_of_systemd_can_hold_the_password(
    analyze: str, guide: str, unit_file: Path, tmp_path: Path
) -> None:
    """The two lines of docs/service.md are lines of a unit, and the second is a setting of ours."""
    lines = re.findall(r"`(LoadCredential=[^`]+)`, `(Environment=[^`]+)`", guide)
    assert len(lines) == 1
    named, told = lines[0]
    text = unit_file.read_text().replace("[Install]", f"[Service]\n{named}\n{told}\n\n[Install]")
    assert not complaints(analyze, installed(text, tmp_path))
    assert "LoadCredentail" in complaints(
        analyze, installed(text.replace("LoadCredential", "LoadCredentail"), tmp_path)
    )
    (tmp_path / "mqtt-password").write_text("hunter22\n")
    name, value = told.removeprefix("Environment=").replace("%d", str(tmp_path)).split("=")
    assert load_config(environ={name: value}).config.secrets == ("hunter22",)


# What the service does


def test_the_service_speaks_as_the_unit_expects(unit: dict[str, str]) -> None:
    """The unit waits for READY=1, and the service looks twice or more in the time in which the unit wants a beat."""
    assert unit["Type"] == "notify"
    microseconds = f"{seconds(unit['WatchdogSec']) * 1e6:.0f}"
    host = service.Host(environ={"WATCHDOG_USEC": microseconds})
    assert host.tick_s <= seconds(unit["WatchdogSec"]) / 2
    # A thread that hangs is named by the service itself, before systemd ends it without a name.
    assert seconds(unit["WatchdogSec"]) > line.SILENT_S


def test_what_no_start_mends_is_not_tried_again(unit: dict[str, str]) -> None:
    """The exit codes for a bad configuration and a bad model are final; after all others it starts again."""
    final = {int(code) for code in unit["RestartPreventExitStatus"].split()}
    assert final == {ConfigError.exit_code, ModelError.exit_code}
    assert MonitorError.exit_code not in final
    assert unit["Restart"] == "always"
    assert unit["StartLimitIntervalSec"] == "0"


def test_a_stop_is_waited_for(unit: dict[str, str]) -> None:
    """An orderly stop is waited for, and the microphones are left to the service."""
    assert seconds(unit["TimeoutStopSec"]) > line.CAPTURE_STOP_S + line.DETECT_STOP_S + line.PUBLISH_STOP_S
    assert unit["KillMode"] == "mixed"


def test_the_files_are_where_the_service_looks(unit: dict[str, str]) -> None:
    """The unit's configuration is a file that every verb finds by itself, and the history is in the unit's folder."""
    named = re.search(r"run --config (\S+)$", unit["ExecStart"])
    assert named
    assert Path(named[1]) in IMPLICIT_FILES
    state = Path("/var/lib") / unit["StateDirectory"]
    loaded = load_config(environ={"STATE_DIRECTORY": str(state)})
    assert loaded.config.history.path == state / "history.db"


def test_the_guide_installs_what_the_unit_names(guide: str, unit: dict[str, str]) -> None:
    """docs/service.md makes the unit's user, in the group of sound cards, its program, configuration and folder."""
    user, state = unit["User"], f"/var/lib/{unit['StateDirectory']}"
    program, _, config = unit["ExecStart"].partition(" run --config ")
    assert re.search(rf"useradd .*--home-dir {state} .*--groups audio {user}$", guide, re.MULTILINE)
    assert re.search(rf"install .*-o {user} .*{state}$", guide, re.MULTILINE)
    assert f"-m venv {program.removesuffix('/bin/cry-monitor')}\n" in guide
    assert re.search(rf"-g {user} -m 640 systemd/config\.example\.toml {config}$", guide, re.MULTILINE)
    assert f"runuser -u {user} -- env STATE_DIRECTORY={state} \\\n        {program} doctor --config {config}\n" in guide


def test_what_it_writes_is_its_own(unit: dict[str, str]) -> None:
    """Nobody else on the machine reads the folder, or a file in it, should the service ever forget to say so."""
    assert (unit["StateDirectoryMode"], unit["UMask"]) == ("0700", "0077")


# What the unit forbids


def test_a_microphone_may_be_plugged_in_later(unit: dict[str, str]) -> None:
    """Of devices, sound cards alone are allowed, by a number: their name opens none that was not there at the start."""
    assert unit["DevicePolicy"] == "closed"
    assert unit["DeviceAllow"] == "char-116 rw"
    assert "PrivateDevices" not in unit


WITHOUT_NEW_CODE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE
    sys.exit(75)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_the_model_needs_no_new_code(unit: dict[str, str], repository: Path) -> None:
    """The model gives its scores where no memory may be both written and run."""
    assert unit["MemoryDenyWriteExecute"] == "yes"
    run = [sys.executable, "-c", WITHOUT_NEW_CODE, sys.executable]
    recording = repository / "monitor" / "recordings" / "crying.flac"
    scored = subprocess.run(
        [*run, "-m", "monitor", "score", recording], capture_output=True, text=True, timeout=LONG_S, check=False
    )
    if scored.returncode == 75:
        pytest.skip("this kernel has no such rule for a process (Linux before 6.3)")
    assert scored.returncode == 0, scored.stderr
    assert re.search(r"cry 0\.9\d+", scored.stdout)
