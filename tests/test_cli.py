import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import structlog
import typer

import monitor
from monitor.cli import carry_out
from monitor.config import Loaded
from monitor.errors import ModelError, MonitorError, SourceError

VERBS = ["run", "demo", "replay", "score", "check-config", "list-devices", "history", "doctor", "test-alert", "forget"]
NEEDED = {"replay": ["a.wav"], "score": ["a.wav"], "forget": ["--room", "nursery", "--yes"]}
HEAVY = ["numpy", "tensorflow", "ai_edge_litert", "paho", "sounddevice", "soundfile", "webrtcvad", "sqlite3", "amqtt"]


def cry_monitor(repository: Path, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        cwd=repository,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Help


def test_help_lists_every_command(repository: Path) -> None:
    """`--help` names every command and the exit codes."""
    result = cry_monitor(repository, "--help")
    assert result.returncode == 0
    for word in [*VERBS, "70", "78"]:
        assert word in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_command(repository: Path, verb: str) -> None:
    """Each command explains itself, with its options, its exit codes and an example."""
    result = cry_monitor(repository, verb, "--help")
    assert result.returncode == 0
    for word in ["--config FILE", "--set KEY=VALUE", "Exit codes:", "78  the configuration", f"cry-monitor {verb}"]:
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["replay", "--help"], ["check-config"]])
def test_only_what_is_needed_is_imported(repository: Path, arguments: list[str]) -> None:
    """Neither help nor `check-config` waits for NumPy, TensorFlow, PortAudio or any other verb's needs."""
    script = (
        "import sys\n"
        "from monitor.cli import main\n"
        f"sys.argv = ['cry-monitor', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print('imported:', *(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0
    assert result.stderr == "imported:\n"


def test_version(repository: Path) -> None:
    """`--version` says name and version."""
    assert cry_monitor(repository, "--version").stdout == f"cry-monitor {monitor.__version__}\n"


# Exit codes


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["replay"],
        ["forget", "--yes"],
        ["run", "--no-such-option"],
        ["check-config", "--set", "mqtt.port"],
        ["check-config", "--set", "=3"],
    ],
)
def test_wrong_usage_is_2(repository: Path, arguments: list[str]) -> None:
    """Wrong usage is told on standard error, and the exit code is 2."""
    result = cry_monitor(repository, *arguments)
    assert result.returncode == 2
    assert "Usage: cry-monitor" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mqtt.prot = 1", ["mqtt.prot = 1", "did you mean mqtt.port?"]),
        ("mqtt.tls = 'yes'", ['mqtt.tls = "yes"', "true or false"]),
        ("mqtt.port = 70000", ["mqtt.port = 70000", "from 1 to 65535"]),
        ("mqtt.port = 0\nhistory.keep_days = 0", ["mqtt.port = 0", "history.keep_days = 0", "from 1 to 3650"]),
        ("mqtt.port = = 1", ["config.toml", "line 1, column 13"]),
        ("[rooms.Kids]", ["rooms.Kids", "a-z, 0-9 and _", "kids"]),
    ],
)
def test_bad_configuration_is_78(repository: Path, tmp_path: Path, text: str, parts: list[str]) -> None:
    """A bad configuration ends with 78; key, value and fix stand on standard error, nothing on standard output."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    result = cry_monitor(repository, "check-config", "--config", path)
    assert result.returncode == 78
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_takes_config_and_set(repository: Path, verb: str) -> None:
    """Every command reads the named file and the values of --set before it does anything; faults in either are 78."""
    needed = NEEDED.get(verb, [])
    result = cry_monitor(repository, verb, *needed, "--config", "absent.toml", "--set", "mqtt.port=0", "--set", "x.y=1")
    assert result.returncode == 78
    for part in ["absent.toml", "mqtt.port", "x.y"]:
        assert part in result.stderr


def test_environment_reaches_the_command(repository: Path) -> None:
    """A misspelt variable is 78 as well, with the name that was probably meant."""
    result = cry_monitor(repository, "check-config", CRY_MQTT_PORT="8883")
    assert result.returncode == 78
    assert "CRY_MQTT__PORT" in result.stderr


def test_useless_model_is_70(repository: Path, tmp_path: Path) -> None:
    """A model that cannot be used ends with 70 and one line that names its folder."""
    result = cry_monitor(repository, "replay", "a.wav", "--set", f"model.path={tmp_path}")
    assert result.returncode == 70
    assert str(tmp_path) in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("error", "code"), [(ModelError("model", "broken"), 70), (SourceError("a", "b", "c"), 1)])
def test_an_error_is_one_line(error: MonitorError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """An error of ours is one line on standard error, without a traceback, and its exit code is the command's."""

    def verb(_: Loaded) -> int:
        raise error

    with pytest.raises(typer.Exit) as ended:
        carry_out(verb, None, None)
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == f"cry-monitor: {error}\n"


def test_an_error_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """No error that reaches the terminal shows the password, nor a login in a URL."""

    def verb(_: Loaded) -> int:
        raise SourceError("rtsp://anna:secret22@camera/1", "refused hunter22")

    with pytest.raises(typer.Exit):
        carry_out(verb, None, ["mqtt.password=hunter22"])
    told = capsys.readouterr().err
    assert "camera/1" in told
    assert "hunter22" not in told
    assert "secret22" not in told


def test_interrupted_is_130() -> None:
    """Ctrl-C in a command that does not handle it ends with 130, as shells have it."""

    def verb(_: Loaded) -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    with pytest.raises(typer.Exit) as ended:
        carry_out(verb, None, None)
    assert ended.value.exit_code == 130


def test_the_verb_decides_the_exit_code() -> None:
    """What a verb returns is the exit code."""
    for code in (0, 1):
        with pytest.raises(typer.Exit) as ended:
            carry_out(lambda _, code=code: code, None, None)  # type: ignore[misc]
        assert ended.value.exit_code == code


def test_commands_log_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs of a command go to standard error, so that standard output holds only the result."""

    def verb(_: Loaded) -> int:
        structlog.get_logger().warning("gate_missed", room="nursery")
        return 0

    with pytest.raises(typer.Exit):
        carry_out(verb, None, ["node.id=attic"])
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    assert (line["event"], line["node"], line["level"]) == ("gate_missed", "attic", "warning")


def test_broken_pipe_is_quiet(repository: Path) -> None:
    """When the reader of the output has had enough (`| head`), the command ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "monitor", "check-config"],
            cwd=repository,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert result.stderr == b""
    assert result.returncode == 1


def test_closed_output_is_no_fault(repository: Path) -> None:
    """With standard output closed, a command does its work and prints nowhere."""
    result = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m monitor check-config >&-"],
        cwd=repository,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")


# check-config


def test_check_config_shows_value_and_layer(repository: Path, tmp_path: Path) -> None:
    """`check-config` prints each value with its layer, as TOML that holds the same values."""
    path = tmp_path / "config.toml"
    path.write_text("[mqtt]\nport = 1001\n[rooms.attic]\nname = 'Dach \"oben\"'\ndevice = 3\n", encoding="utf-8")
    result = cry_monitor(
        repository, "check-config", "--config", path, "--set", "mqtt.tls=true", CRY_LOG__LEVEL="debug", LC_ALL="C.UTF-8"
    )
    assert result.returncode == 0
    lines = {line.split("  # ")[0].strip(): line.rpartition("  # ")[2] for line in result.stdout.splitlines()}
    assert lines["port = 1001"] == f"file {path}"
    assert lines["tls = true"] == "--set"
    assert lines['level = "debug"'] == "environment CRY_LOG__LEVEL"
    assert lines['host = "localhost"'] == "default"
    assert lines["# username is not set"] == "default"
    shown = tomllib.loads(result.stdout)
    assert shown["rooms"]["attic"]["name"] == 'Dach "oben"'
    assert shown["rooms"]["attic"]["device"] == "3"
    assert shown["rooms"]["attic"]["gate"]["vad_mode"] == 1
    again = tmp_path / "again.toml"
    again.write_text(result.stdout, encoding="utf-8")
    assert cry_monitor(repository, "check-config", "--config", again).returncode == 0


def test_check_config_hides_secrets(repository: Path, tmp_path: Path) -> None:
    """`check-config` shows stars for the password, wherever it came from."""
    (tmp_path / "pw").write_text("hunter22\n")
    result = cry_monitor(repository, "check-config", "--set", f"mqtt.password_file={tmp_path / 'pw'}")
    assert result.returncode == 0
    assert 'password = "**********"' in result.stdout
    assert "hunter22" not in result.stdout + result.stderr


def test_a_password_on_the_command_line_is_refused(repository: Path) -> None:
    """`ps` shows it to every user of the machine: wrong usage, with where to put it; it is not repeated."""
    result = cry_monitor(repository, "check-config", "--set", "mqtt.password=hunter22")
    assert (result.returncode, result.stdout) == (2, "")
    assert "CRY_MQTT__PASSWORD" in result.stderr
    assert "hunter22" not in result.stderr


def test_a_secret_that_others_can_read_is_a_warning(repository: Path, tmp_path: Path) -> None:
    """It is said with the fix on standard error, and nothing is refused."""
    password = tmp_path / "pw"
    password.write_text("hunter22")
    password.chmod(0o644)
    result = cry_monitor(repository, "check-config", "--set", f"mqtt.password_file={password}")
    assert result.returncode == 0
    told = json.loads(result.stderr)
    assert (told["event"], told["key"], told["level"]) == ("secret_exposed", "mqtt.password_file", "warning")
    assert told["fix"] == f"chmod 600 {password}"
    assert "0644" in told["err"]
    password.chmod(0o600)
    assert cry_monitor(repository, "check-config", "--set", f"mqtt.password_file={password}").stderr == ""


def test_check_config_in_a_terminal_without_unicode(repository: Path) -> None:
    """A name that the terminal cannot show is no fault."""
    result = cry_monitor(repository, "check-config", "--set", "rooms.a.name=Bébé", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert r"B\xe9b\xe9" in result.stdout
