import os
import string
import tempfile
from pathlib import Path

from fuzz.damage import bounded, damaged, fuzz, values
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import load_config
from monitor.config.keys import ROOM, all_keys, dotted, env_name
from monitor.errors import ConfigError

SECRET = "Gruffalo-41"  # noqa: S105 - looked for in what is said
REPOSITORY = Path(__file__).parents[2]
EXAMPLE = (REPOSITORY / "systemd" / "config.example.toml").read_bytes()
FULL = b"""[node]\nid = "home"\n[mqtt]\nhost = "broker"\nport = 8883\ntls = true\nusername = "u"\nprotocol = "5"
[rooms.nursery]\nname = "Nursery"\nsource = "file"\npath = "a.flac"\nspeed = 0\nloop = true\nmuted_after_s = 45
[rooms.nursery.alert]\nafter_s = 10\n[rooms.attic]\nsource = "pulse"\ndevice = 3\n[history]\nkeep_days = 90
[log]\nlevel = "info"\n[model]\nruntime = "auto"\n[reason]\nmin_confidence = 0.5\n"""
PASSWORD = f'\n[mqtt.password]\n[mqtt]\npassword = "{SECRET}"\n'.encode()

KEYS = [tuple("nursery" if part == ROOM else part for part in key) for key, _ in all_keys()]
words = st.text(max_size=20) | st.sampled_from(
    ["", "1", "-1", "1e999", "nan", "true", "[]", "{}", "\0", "a\nb", "0" * 400]
)
names = st.sampled_from(KEYS) | st.lists(st.text(string.ascii_letters + "_.-é\0 ", max_size=9), max_size=9).map(tuple)


def load(text: bytes | None, overrides: list[str], environ: dict[str, str]) -> None:
    """Load it as every verb does: a configuration, or what is wrong with it on lines of their own, without a secret."""
    with tempfile.TemporaryDirectory() as folder, bounded():
        path = None
        if text is not None:
            path = Path(folder) / "config.toml"
            path.write_bytes(text)
        try:
            loaded = load_config(path, overrides, {"HOME": folder, **environ})
        except ConfigError as error:
            wrong = error
        else:
            assert SECRET not in repr(loaded)
            config = loaded.config
            paths = [config.history.path, config.log.alerts, config.model.path, config.reason.path]
            for named in (*paths, *(room.path for room in config.rooms.values())):
                assert named is None or b"\0" not in os.fsencode(named), "a thread would open it, and die"
            return
    assert wrong.problems, "it says what is wrong"
    assert all(problem.isprintable() for problem in wrong.problems), wrong.problems
    assert SECRET not in str(wrong)


@fuzz
@given(damaged(EXAMPLE, FULL, most=12) | st.binary(max_size=200), st.booleans())
def test_a_file_of_any_bytes_is_settings_or_says_what_is_wrong(text: bytes, secret: bool) -> None:  # noqa: FBT001
    """A damaged file is a configuration or a `ConfigError`; a password that stands in it is never repeated."""
    load(text + PASSWORD if secret else text, [], {})


@fuzz
@given(st.dictionaries(names, values, max_size=6))
def test_a_value_of_any_type_is_settings_or_says_what_is_wrong(given_values: dict[tuple[str, ...], object]) -> None:
    """Any key may hold any type."""
    lines = []
    for name, value in given_values.items():
        key = ".".join(
            '"' + "".join(c if c.isalnum() or c in "_-" else f"\\U{ord(c):08x}" for c in part) + '"' for part in name
        )
        shown = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
        text = f'"{value.encode("unicode_escape", "replace").decode()}"' if isinstance(value, str) else str(shown)
        lines.append(f"{key or 'a'} = {text}")
    load("\n".join(lines).encode("utf-8", "replace"), [], {"CRY_MQTT__PASSWORD": SECRET})


@fuzz
@given(st.dictionaries(names, words, max_size=6))
def test_any_environment_is_settings_or_says_what_is_wrong(given_words: dict[tuple[str, ...], str]) -> None:
    """Any variable of ours may hold any text; one with the password is never repeated."""
    environ = {env_name(name).replace("\0", "").replace("=", ""): word for name, word in given_words.items()}
    load(None, [], {**environ, "CRY_CONFIG": "", "CRY_MQTT__PASSWORD": SECRET})


@fuzz
@given(st.lists(st.builds(lambda name, word: f"{dotted(name)}={word}", names, words) | words, max_size=6))
def test_any_override_is_settings_or_says_what_is_wrong(overrides: list[str]) -> None:
    """Any text may follow `--set`; the password beside it is never repeated."""
    load(None, [f"mqtt.password={SECRET}", *overrides], {})
