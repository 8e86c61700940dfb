import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor import records
from monitor.config import Config, Loaded, RoomConfig, Sensitivity, load_config
from monitor.config.keys import ROOM, all_keys, env_name, expected
from monitor.errors import ConfigError

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(path: Path | None = None, *overrides: str, **environ: str) -> list[str]:
    """What is wrong, one sentence each."""
    with pytest.raises(ConfigError) as raised:
        load_config(path, overrides, environ)
    assert raised.value.exit_code == 78
    return raised.value.problems


def only_problem(path: Path | None = None, *overrides: str, **environ: str) -> str:
    """What is wrong, where that is one thing."""
    (problem,) = problems(path, *overrides, **environ)
    return problem


# Defaults


def test_no_file_at_all_is_valid() -> None:
    """Without any file there is one room, node `home`, and a broker on this machine without TLS."""
    loaded = load_config(None, [], {"HOME": "/home/anna"})
    config = loaded.config
    assert loaded.file is None
    assert list(config.rooms) == ["nursery"]
    nursery = config.rooms["nursery"]
    assert (nursery.name, nursery.source, nursery.device, nursery.enabled) == ("Nursery", "microphone", None, True)
    assert config.node.id == "home"
    mqtt = config.mqtt
    assert (mqtt.host, mqtt.port, mqtt.tls, mqtt.topic_prefix, mqtt.client_id) == (
        "localhost",
        1883,
        False,
        "cry",
        "cry_home",
    )
    assert (mqtt.discovery, mqtt.discovery_prefix) == (True, "homeassistant")
    assert set(loaded.layers.values()) == {"default"}


def test_config_is_frozen() -> None:
    """A setting cannot be changed once it is read."""
    config = load_config(None, [], {}).config
    with pytest.raises(ValueError, match="frozen"):
        config.node.id = "other"
    with pytest.raises(ValueError, match="frozen"):
        config.node = config.node


def test_a_room_alerts_by_default() -> None:
    """Without a word of it a room alerts at once, each 2 min, and after 10 min whatever holds; off lasts 12 h."""
    room = load_config(None, [], {}).config.rooms["nursery"]
    assert (room.alert.after_s, room.alert.repeat_after_s, room.alert.hard_limit_s) == (0, 120, 600)
    assert room.rearm_after_h == 12
    assert load_config(None, [], {}).config.log.alerts is None


def test_the_hard_limit_may_be_the_first_alert(write: Write) -> None:
    """`after_s` may be as much as `hard_limit_s`, in either layer; half an hour is a time to rearm after."""
    path = write("[rooms.a]\nrearm_after_h = 0.5\n[rooms.a.alert]\nafter_s = 60")
    room = load_config(path, ["rooms.a.alert.hard_limit_s=60"], {}).config.rooms["a"]
    assert (room.alert.after_s, room.alert.hard_limit_s, room.rearm_after_h) == (60, 60, 0.5)


def test_direct_config_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Config` built by hand sees neither the environment nor a file, and names its rooms and its client too."""
    monkeypatch.setenv("CRY_NODE__ID", "elsewhere")
    monkeypatch.setenv("NODE", "elsewhere")
    config = Config(rooms={"big_room": RoomConfig()})
    assert config.node.id == "home"
    assert config.rooms["big_room"].name == "Big Room"
    assert Config().mqtt.client_id == "cry_home"


def test_names_follow_ids(write: Write) -> None:
    """A room is called by its id and the client by the node, where nothing else is said."""
    config = load_config(write('node.id = "attic"\n[rooms.big_room]\n[rooms.b]\nname = "Bébé"'), [], {}).config
    assert [room.name for room in config.rooms.values()] == ["Big Room", "Bébé"]
    assert config.mqtt.client_id == "cry_attic"


def test_sensitivities_are_those_of_records() -> None:
    """The configuration knows the same sensitivities as the records that cross threads."""
    assert get_args(Sensitivity) == get_args(records.Sensitivity)


def test_every_key_says_what_it_is() -> None:
    """Each key has a description, and each number a range."""
    for key, field in all_keys():
        assert field.description, key
        assert expected(field), key


# Layers


def test_layers(write: Write) -> None:
    """The file wins over defaults, the environment over the file, the command line over all."""
    path = write("[mqtt]\nport = 1001\nhost = 'file'\nusername = 'file'\n[rooms.nursery]\nname = 'File'")
    environ = {"CRY_MQTT__HOST": "env", "CRY_MQTT__USERNAME": "env", "CRY_ROOMS__NURSERY__DEVICE": "3"}
    loaded = load_config(path, ["mqtt.username=set", "mqtt.username=last"], environ)
    mqtt, nursery = loaded.config.mqtt, loaded.config.rooms["nursery"]
    assert (mqtt.port, mqtt.host, mqtt.username) == (1001, "env", "last")
    assert (nursery.name, nursery.device) == ("File", "3")
    assert loaded.file == path
    assert {key: layer for key, layer in loaded.layers.items() if layer != "default"} == {
        "mqtt.port": f"file {path}",
        "mqtt.host": "environment CRY_MQTT__HOST",
        "mqtt.username": "--set",
        "rooms.nursery.name": f"file {path}",
        "rooms.nursery.device": "environment CRY_ROOMS__NURSERY__DEVICE",
    }


def test_a_room_from_any_layer(write: Write) -> None:
    """Each layer may add a room; the default room stands in only where none names one."""
    path = write("[rooms.attic]")
    environ = {"CRY_ROOMS__CELLAR__ENABLED": "false"}
    assert list(load_config(path, ["rooms.hall.device=x"], environ).config.rooms) == ["attic", "cellar", "hall"]
    assert list(load_config(None, ["rooms.hall.device=x"], {}).config.rooms) == ["hall"]


def test_text_layers_give_types() -> None:
    """What is text in the environment and on the command line becomes the type of its key."""
    environ = {"CRY_MQTT__TLS": "true", "CRY_MQTT__PORT": "8883", "CRY_ROOMS__A__GATE__VAD_MODE": "0"}
    config = load_config(None, ["rooms.a.enabled=no", "history.keep_days=7"], environ).config
    assert (config.mqtt.tls, config.mqtt.port, config.rooms["a"].gate.vad_mode) == (True, 8883, 0)
    assert (config.rooms["a"].enabled, config.history.keep_days) == (False, 7)


@pytest.mark.parametrize("given", ["0", "0.0", "1", "0.625"])
def test_a_number_that_may_be_absent(write: Write, given: str) -> None:
    """`reason.min_confidence` is a number from any layer, and None where no layer has it."""
    key, name = "reason.min_confidence", "CRY_REASON__MIN_CONFIDENCE"
    for loaded in (
        load_config(write(f"{key} = {given}"), [], {}),
        load_config(None, [f"{key}={given}"], {}),
        load_config(None, [], {name: given}),
    ):
        assert loaded.config.reason.min_confidence == float(given)
    assert load_config(None, [], {}).config.reason.min_confidence is None
    assert "must be a number from 0 to 1" in only_problem(None, **{name: "much"})


def test_value_with_equals_sign() -> None:
    """Only the first = of --set separates; the value may hold more."""
    assert load_config(None, ["mqtt.username=a=b"], {}).config.mqtt.username == "a=b"


def test_file_is_the_first_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the one named, else that of CRY_CONFIG, else the first of the usual places, else none."""
    named, variable, local, system = (tmp_path / f"{name}.toml" for name in ("named", "variable", "local", "system"))
    for path in (named, variable, local, system):
        path.write_text(f'node.id = "{path.stem}"')
    monkeypatch.setattr("monitor.config.layers.IMPLICIT_FILES", (local, system))
    environ = {"CRY_CONFIG": str(variable)}
    assert load_config(named, [], environ).file == named
    assert load_config(None, [], environ).config.node.id == "variable"
    assert load_config(None, [], {}).file == local
    local.unlink()
    assert load_config(None, [], {"CRY_CONFIG": ""}).file == system
    system.unlink()
    assert load_config(None, [], {}).file is None


@pytest.mark.parametrize("by", ["--config", "CRY_CONFIG"])
def test_named_file_must_exist(tmp_path: Path, by: str) -> None:
    """A file that is named and absent is an error, however it was named."""
    path = tmp_path / "absent.toml"
    problem = only_problem(path) if by == "--config" else only_problem(CRY_CONFIG=str(path))
    assert str(path) in problem
    assert "no such file" in problem
    assert "--config" in problem


def test_folder_as_file(tmp_path: Path) -> None:
    """A file that cannot be read is an error that says why."""
    assert "cannot be read: Is a directory" in only_problem(tmp_path)


# Faults


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mqtt.prot = 1", ["mqtt.prot = 1", "unknown key", "did you mean mqtt.port?", "host, port, tls"]),
        ("rooms.a.devise = 'x'", ["rooms.a.devise", "did you mean rooms.a.device?", "sensitivity"]),
        ("port = 1", ["port = 1", "unknown key", "did you mean mqtt.port?", "node, rooms"]),
        ("mqt.port = 1", ["mqt.port = 1", "did you mean mqtt.port?"]),
        ("rooms.a.alert.afters = 3", ["rooms.a.alert.afters = 3", "did you mean rooms.a.alert.after_s?"]),
        ("rooms.a.alert.after_s = 601", ["rooms.a.alert.after_s = 601", "must be a whole number from 0 to 600"]),
        ("rooms.a.alert.after_s = 1.5", ["rooms.a.alert.after_s = 1.5", "must be a whole number from 0 to 600"]),
        ("rooms.a.alert.repeat_after_s = 9", ["rooms.a.alert.repeat_after_s = 9", "from 10 to 3600"]),
        ("rooms.a.alert.hard_limit_s = 59", ["rooms.a.alert.hard_limit_s = 59", "from 60 to 7200"]),
        (
            "rooms.a.alert = {after_s = 100, hard_limit_s = 99}",
            ["rooms.a.alert.hard_limit_s = 99", "less than after_s = 100", "100 or more"],
        ),
        ("rooms.a.rearm_after_h = 169", ["rooms.a.rearm_after_h = 169", "must be a number from 0 to 168"]),
        ("rooms.a.rearm_after_h = -1", ["rooms.a.rearm_after_h = -1", "must be a number from 0 to 168"]),
        ("rooms.a.rearm_after_h = nan", ["rooms.a.rearm_after_h = nan", "must be a number from 0 to 168"]),
        ("log.alerts = ''", ["log.alerts", "is empty"]),
        ("mqtt.port.x = 1", ["mqtt.port.x = 1", "unknown key"]),
        ("mqtt = 3", ["mqtt (file", "is a table", "host, port"]),
        ("rooms = []", ["rooms (file", "is a table", "for each room"]),
        ("mqtt.port = 'abc'", ['mqtt.port = "abc"', "must be a whole number from 1 to 65535"]),
        ("mqtt.port = '1883'", ['mqtt.port = "1883"', "must be a whole number from 1 to 65535"]),
        ("mqtt.port = true", ["mqtt.port = true", "must be a whole number from 1 to 65535"]),
        ("mqtt.port = 70000", ["mqtt.port = 70000", "must be a whole number from 1 to 65535"]),
        ("mqtt.port = 0", ["mqtt.port = 0", "must be a whole number from 1 to 65535"]),
        ("reason.min_confidence = 1.5", ["reason.min_confidence = 1.5", "must be a number from 0 to 1", "`unsure`"]),
        ("reason.min_confidence = nan", ["reason.min_confidence = nan", "must be a number from 0 to 1"]),
        ("reason.min_confidence = '0.5'", ['reason.min_confidence = "0.5"', "must be a number from 0 to 1"]),
        ("reason.min_confidence = true", ["reason.min_confidence = true", "must be a number from 0 to 1"]),
        ("reason.path = ''", ["reason.path", "is empty"]),
        ("mqtt.tls = 1", ["mqtt.tls = 1", "must be true or false"]),
        ("mqtt.host = 3", ["mqtt.host = 3", "must be text"]),
        ("mqtt.host = ''", ['mqtt.host = ""', "must be text"]),
        ("mqtt.protocol = 5", ["mqtt.protocol = 5", 'must be one of "5", "3.1.1"']),
        ("rooms.a.sensitivity = 'hi'", ['rooms.a.sensitivity = "hi"', 'one of "low", "normal", "high"']),
        ("rooms.a.gate.vad_mode = 3", ["rooms.a.gate.vad_mode = 3", "from 0 to 2", "2 % of a quiet cry"]),
        ("rooms.a = {source='file', path='x', speed=nan}", ["rooms.a.speed = nan", "a number from 0 to 1000"]),
        ("rooms.a = {source='file', path='x', speed=inf}", ["rooms.a.speed = inf", "a number from 0 to 1000"]),
        ("rooms.a = {source='file', path='x', speed=0.2}", ["rooms.a.speed = 0.2", "0 or from 0.25 to 1000"]),
        ("rooms.a.speed = 2.0", ["rooms.a.speed = 2.0", "no effect", 'source = "file"']),
        ("rooms.a.source = 'file'", ["rooms.a.path", "is missing", "path of a recording"]),
        ("rooms.a.path = 'x.wav'", ["rooms.a.path", "no effect", 'source = "file"']),
        ("rooms.a.source = 'rtsp'", ['rooms.a.source = "rtsp"', "not available yet"]),
        ("rooms.a.device = true", ["rooms.a.device = true", "must be text"]),
        ("rooms.'Big Room'.name = 'x'", ["rooms.Big Room", "a-z, 0-9 and _", "big_room"]),
        ("[rooms]", ["rooms", "1 to 64 rooms"]),
        ("\n".join(f"[rooms.r{n}]" for n in range(65)), ["rooms", "1 to 64 rooms"]),
        ("node.id = 'a_b'", ['node.id = "a_b"', "[a-z0-9]{1,32}", "No underscore"]),
        ("node.id = ''", ['node.id = ""', "[a-z0-9]{1,32}"]),
        ("mqtt.topic_prefix = 'a/#'", ['mqtt.topic_prefix = "a/#"', "wildcard"]),
        ("mqtt.discovery_prefix = '#'", ['mqtt.discovery_prefix = "#"', "wildcard"]),
        ("mqtt.discovery = 'yes'", ["mqtt.discovery", "true or false"]),
        ("mqtt.topic_prefix = 'a/'", ['mqtt.topic_prefix = "a/"', "slash"]),
        ("mqtt.ca_file = 'ca.pem'", ["mqtt.ca_file", "no effect without TLS"]),
        ("mqtt = {tls = true, ca_file = 'ca.pem'}", ["mqtt.ca_file", "cannot be read: No such file"]),
        ("mqtt.password_file = 'absent'", ["mqtt.password_file", "absent", "cannot be read: No such file"]),
        ("mqtt = {protocol = '3.1.1', password = 'hunter22'}", ["mqtt.password", "needs mqtt.username"]),
        ("history.keep_days = 4000", ["history.keep_days = 4000", "from 1 to 3650"]),
        ("history.path = ''", ["history.path", "is empty"]),
    ],
)
def test_fault_names_key_value_and_fix(write: Write, text: str, parts: list[str]) -> None:
    """Each fault is one sentence with key path, value as given, layer and fix."""
    path = write(text)
    problem = only_problem(path)
    for part in (*parts, str(path)):
        assert part in problem


def test_broken_toml_has_a_place(write: Write) -> None:
    """Broken TOML is told with file, line and column."""
    path = write("[mqtt]\nport = = 3\n")
    problem = only_problem(path)
    assert str(path) in problem
    assert "line 2, column 8" in problem


def test_file_in_another_encoding(tmp_path: Path) -> None:
    """A file that is not UTF-8 is told with its line."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"[rooms.a]\nname = 'b\xe9b\xe9'\n")
    assert "not UTF-8 (at line 2)" in only_problem(path)


def test_all_faults_at_once(write: Write) -> None:
    """Faults in every layer are reported together, each with its own layer."""
    path = write("[mqtt]\nport = 99999\nhosst = 'x'\n[history]\nkeep_days = 0\n")
    found = problems(path, "node.id=A", "rooms.a.gaet.vad_mode=1", CRY_LOG__LEVEL="loud", CRY_MQTT_HOST="x")
    assert len(found) == 7
    for key, layer in {
        "mqtt.port = 99999": f"file {path}",
        "mqtt.hosst": f"file {path}",
        "history.keep_days = 0": f"file {path}",
        'node.id = "A"': "--set",
        "rooms.a.gaet.vad_mode": "--set",
        "log.level": "environment CRY_LOG__LEVEL",
        "mqtt_host": "environment CRY_MQTT_HOST",
    }.items():
        assert any(key in problem and f"({layer})" in problem for problem in found), key


def test_broken_file_hides_no_other_fault(write: Write) -> None:
    """Beside a broken file, the other layers' faults are told, but none that the file might have mended."""
    path = write("rooms.a.source = 'file")
    found = problems(path, "mqtt.port=0", "rooms.a.path=x.wav")
    assert len(found) == 2
    assert "mqtt.port" in found[1]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("CRY_MQTT_HOST", "CRY_MQTT__HOST"),
        ("CRY_MQTT__HOTS", "CRY_MQTT__HOST"),
        ("CRY_ROOMS_ATTIC_DEVICE", "CRY_ROOMS__ATTIC__DEVICE"),
        ("CRY_ROOMS__A__GATE_VAD_MODE", None),
        ("CRY_", None),
    ],
)
def test_unknown_variable(name: str, suggestion: str | None) -> None:
    """A variable that starts with CRY_ and is no setting is an error, with the name that was probably meant."""
    problem = only_problem(None, **{name: "x"})
    assert f"(environment {name})" in problem
    assert "unknown key" in problem
    assert suggestion is None or f"did you mean {suggestion}?" in problem


def test_override_without_equals() -> None:
    """An override that has no = is an error here too."""
    assert "KEY=VALUE" in only_problem(None, "mqtt.port")


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        "mqtt.password = ['hunter22']",
        "mqtt.password = {a = 'hunter22'}",
        "mqtt.pasword = 'hunter22'",
        "mqtt.passwd = 'hunter22'",
        "password = 'hunter22'",
        "mqtt = 'hunter22'",
        "mqtt.api_token = 'hunter22'",
        "mqtt.host = 'anna:hunter22@broker'",
        "rooms.a.path = 'rtsp://anna:hunter22@camera/1'",
        "rooms.a.sensitivity = 'rtsp://anna:hunter@22@camera/1'",
    ],
)
def test_error_shows_no_secret(write: Write, text: str) -> None:
    """No error repeats a password, not even a misplaced or misspelt one."""
    problem = only_problem(write(text))
    assert "hunter" not in problem


def test_repr_shows_no_secret() -> None:
    """A configuration that is printed by accident hides the password."""
    loaded = load_config(None, [], {"CRY_MQTT__PASSWORD": "hunter22"})
    assert loaded.config.secrets == ("hunter22",)
    assert "hunter22" not in repr(loaded)
    assert "hunter22" not in str(loaded.config)
    assert "hunter22" not in loaded.config.model_dump_json()


@pytest.mark.parametrize("content", [b"hunter22", b"hunter22\n", b"hunter22\r\n"])
def test_password_file(write: Write, tmp_path: Path, content: bytes) -> None:
    """The password is what its file holds, without one line break at the end; its layer is that of the file's name."""
    (tmp_path / "pw").write_bytes(content)
    path = write("mqtt.password_file = 'pw'")
    loaded = load_config(path, [], {})
    assert loaded.config.secrets == ("hunter22",)
    assert loaded.config.mqtt.password_file == tmp_path / "pw"
    assert loaded.layers["mqtt.password"] == loaded.layers["mqtt.password_file"] == f"file {path}"


@pytest.mark.parametrize(
    ("content", "fault"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not UTF-8"), (b"a" * 65_536, "too long")]
)
def test_useless_password_file(write: Write, tmp_path: Path, content: bytes, fault: str) -> None:
    """A password file without a usable password is an error that names it."""
    (tmp_path / "pw").write_bytes(content)
    problem = only_problem(write("mqtt.password_file = 'pw'"))
    assert str(tmp_path / "pw") in problem
    assert fault in problem


@pytest.mark.parametrize("key", ["rooms.nursery.path", "history.path", "log.alerts", "model.path", "reason.path"])
def test_a_path_with_a_nul_is_refused(write: Write, key: str) -> None:
    """No file can have such a name, so it is refused here and not by a thread that opens it."""
    assert "holds a NUL" in "\n".join(problems(write(f'{key} = "a\\u0000b"')))


def test_the_name_of_a_password_file_stays_on_its_line() -> None:
    """A line break in a file's name begins no line of the error of its own."""
    problem = only_problem(None, "mqtt.password_file=a\nmqtt.host = forged")
    assert problem.isprintable()
    assert "a\\nmqtt.host" in problem


def test_endless_password_file() -> None:
    """A password file without an end does not hang the start."""
    assert "too long" in only_problem(None, "mqtt.password_file=/dev/zero")


def test_password_of_the_later_layer_wins(write: Write, tmp_path: Path) -> None:
    """Between `password` and `password_file` the later layer wins; both in one layer is an error."""
    (tmp_path / "pw").write_text("from the file")
    by_file = write("mqtt.password_file = 'absent'")
    assert load_config(by_file, [], {"CRY_MQTT__PASSWORD": "env"}).config.secrets == ("env",)
    by_word = write("mqtt.password = 'word'")
    assert load_config(by_word, ["mqtt.password_file=pw"], {}).config.secrets == ("from the file",)
    both = write("mqtt.password = 'word'\nmqtt.password_file = 'pw'")
    assert "stands beside mqtt.password_file" in only_problem(both)


@pytest.mark.parametrize(
    ("owner", "group", "mode", "fix"),
    [
        ("me", "mine", 0o600, None),
        ("me", "mine", 0o640, None),
        ("me", "mine", 0o604, "600"),
        ("me", "audio", 0o640, "600"),
        ("root", "cry-monitor", 0o640, None),
        ("root", "cry-monitor", 0o644, "640"),
        ("root", "root", 0o440, None),
        ("root", "root", 0o444, "600"),
    ],
)
def test_a_file_that_others_can_read(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str, group: str, mode: int, fix: str | None
) -> None:
    """A secret that others can read is told with the fix, wherever it stands; what root gives to one group is none."""
    ids = {"root": 0, "me": 1000, "mine": 1000, "audio": 29, "cry-monitor": 998}
    path = write("mqtt.password = 'hunter22'")
    (tmp_path / "pw").write_text("hunter22")
    real = Path.stat

    def stat(self: Path, **how: bool) -> os.stat_result:
        found = list(real(self, **how))
        found[0], found[4], found[5] = 0o100000 | mode, ids[owner], ids[group]
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    inline = load_config(path, [], {}).exposed
    by_file = load_config(path, ["mqtt.password_file=pw"], {}).exposed
    assert [found.fix for found in inline] == ([] if fix is None else [f"chmod {fix} {path}"])
    assert [found.fix for found in by_file] == ([] if fix is None else [f"chmod {fix} {tmp_path / 'pw'}"])
    assert [found.key for found in by_file] == ([] if fix is None else ["mqtt.password_file"])
    assert load_config(path, [], {"CRY_MQTT__PASSWORD": "env"}).exposed == ()


# Paths


def test_relative_paths_start_at_the_file(write: Write, tmp_path: Path) -> None:
    """A relative path starts at the folder of the configuration file, whichever layer gives it."""
    path = write("model.path = 'models/mine'\n[rooms.a]\nsource = 'file'\npath = 'a.wav'")
    config = load_config(path, ["rooms.a.path=b.wav", "reason.path=causes", "log.alerts=alerts.jsonl"], {}).config
    assert config.model.path == tmp_path / "models" / "mine"
    assert config.reason.path == tmp_path / "causes"
    assert config.log.alerts == tmp_path / "alerts.jsonl"
    assert config.rooms["a"].path == tmp_path / "b.wav"


def test_relative_paths_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration file, relative paths start at the working directory."""
    monkeypatch.chdir(tmp_path)
    assert load_config(None, ["model.path=mine"], {}).config.model.path == tmp_path / "mine"


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/cry-monitor", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/var/lib/cry-monitor"),
        ({"STATE_DIRECTORY": "/var/lib/cry-monitor:/var/lib/other", "HOME": "/h"}, "/var/lib/cry-monitor"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/cry-monitor"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/cry-monitor"),
        ({"HOME": "/h"}, "/h/.local/state/cry-monitor"),
    ],
)
def test_history_lives_in_the_state_folder(environ: dict[str, str], folder: str) -> None:
    """A relative history path starts at systemd's state folder, else XDG's, else the usual one."""
    assert load_config(None, [], environ).config.history.path == Path(folder) / "history.db"
    assert load_config(None, ["history.path=a/b.db"], environ).config.history.path == Path(folder) / "a" / "b.db"
    assert load_config(None, ["history.path=/a/b.db"], environ).config.history.path == Path("/a/b.db")


def test_certificate_and_key_go_together(write: Write, tmp_path: Path) -> None:
    """A client certificate needs its key and the other way round; both must be readable."""
    (tmp_path / "cert.pem").touch()
    (tmp_path / "key.pem").touch()
    both = write("[mqtt]\ntls = true\ncert_file = 'cert.pem'\nkey_file = 'key.pem'")
    assert load_config(both, [], {}).config.mqtt.key_file == tmp_path / "key.pem"
    for alone in ("cert_file = 'cert.pem'", "key_file = 'key.pem'"):
        assert "set both or neither" in only_problem(write(f"[mqtt]\ntls = true\n{alone}"))


def test_device_index(write: Write) -> None:
    """A device may be given by its index, as a number."""
    assert load_config(write("rooms.a.device = 3"), [], {}).config.rooms["a"].device == "3"


# The example


def test_example_is_the_defaults(repository: Path) -> None:
    """The example file loads as it is, and says nothing but the defaults."""
    environ = {"XDG_STATE_HOME": "/state"}
    assert (
        load_config(repository / "systemd" / "config.example.toml", [], environ).config
        == load_config(None, [], environ).config
    )


def test_example_has_every_key(repository: Path) -> None:
    """Every key stands in the example, in its table, and above it are its range or its choices."""
    text = (repository / "systemd" / "config.example.toml").read_text(encoding="utf-8")
    tables = re.split(r"^\[(.+)\]\n", text, flags=re.MULTILINE)[1:]
    by_table = dict(zip(tables[::2], tables[1::2], strict=True))
    found = set()
    for key, field in all_keys():
        table = ".".join(key[:-1]).replace(ROOM, "nursery")
        match = re.search(rf"((?:^#.*\n)*)^(?:# )?{key[-1]} = .+$", by_table[table], flags=re.MULTILINE)
        assert match, key
        for word in re.findall(r'\d+(?= to)|(?<=to )\d+|"[^"]+"', expected(field).replace("1 to 200", "")):
            assert word in match[1], (key, word)
        found.add((table, key[-1]))
    shown = {
        (table, name)
        for table, body in by_table.items()
        for name in re.findall(r"^(?:# )?(\w+) = ", body, re.MULTILINE)
    }
    assert shown == found


def test_example_shows_valid_values(repository: Path) -> None:
    """A key that the example shows and does not set has a value of its type."""
    text = (repository / "systemd" / "config.example.toml").read_text(encoding="utf-8")
    shown = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert shown["rooms"]["nursery"].pop("path")
    Config(rooms={"nursery": RoomConfig(source="microphone", device=shown["rooms"]["nursery"]["device"])})


# Any input


LITERALS = [
    *("nan", "inf", "-inf", "1e400", "0", "-1", "9" * 400, "0x" + "f" * 9000, "9" * 5000, "true", "''", "'x'"),
    *('"\\u0000"', '"\\n"', '"\\U0001F37C"', "[1]", "[[[]]]", "{}", "{a = 1}", "{a = {a = 1}}", "1979-05-27"),
    *("1979-02-31", "07:32:00", "'file'", "'rtsp'", "'/dev/null'", "'/'", "'" + "a/" * 3000 + "'", '"\\uD800"'),
]
KEYS = [".".join(key).replace(ROOM, "a") for key, _ in all_keys()]
LINES = st.tuples(st.sampled_from([*KEYS, "rooms", "rooms.a", "mqtt", "rooms.'A b'.name"]), st.sampled_from(LITERALS))
FILES = st.lists(LINES.map(" = ".join), max_size=6, unique_by=lambda line: line.split(" ")[0]).map("\n".join)


def load(content: bytes) -> Loaded | None:
    """Load this content as a file; None where it is refused as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_bytes(content)
        try:
            return load_config(path, [], {})
        except ConfigError:
            return None


@given(st.one_of(FILES, st.text()))
@example("[" * 10_000)
@example("a = " + "[" * 10_000)
@example("a" + ".a" * 3_000 + " = 1")
@example("mqtt.port = 0x" + "f" * 9000)
@example("mqtt.port = " + "9" * 5000)
@settings(deadline=1_000)  # the key of 3 000 parts takes a fifth of a second on a busy machine
def test_any_text_is_a_config_or_an_error(text: str) -> None:
    """Whatever text a file holds, it gives a configuration or a ConfigError, and nothing else."""
    load(text.encode(errors="surrogatepass"))


@given(st.binary())
def test_any_bytes_are_a_config_or_an_error(content: bytes) -> None:
    """Whatever bytes a file holds, they give a configuration or a ConfigError, and nothing else."""
    load(content)


NAMES = st.one_of(
    st.sampled_from([env_name(key).replace("<ROOM>", "A") for key, _ in all_keys()]),
    st.text().map(lambda text: "CRY_" + text),
)
VALUES = st.one_of(
    st.text(), st.sampled_from(["nan", "inf", "1e999", "9" * 5000, "file", "/", "\x00", "\udcff", "a" * 9000])
)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.lists(st.one_of(st.text(), VALUES.map("mqtt.port={}".format))))
@example({"CRY_MQTT__PASSWORD_FILE": "\x00"}, [])
@example({"CRY_MODEL__PATH": "\udcff"}, [])
@example({"CRY_CONFIG": "\x00"}, [])
@example({"CRY_CONFIG": "a" * 9000}, [])
@example({"CRY_NODE__ID": "\udcff", "CRY_MQTT__HOST": "\udcff"}, [])
def test_any_environment_is_a_config_or_an_error(environ: dict[str, str], overrides: list[str]) -> None:
    """Whatever text the environment and the command line hold, it gives a configuration or a ConfigError."""
    try:
        load_config(None, overrides, environ)
    except ConfigError:
        return
