import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publish.make import CATEGORIES, T0

from monitor.publish import Messages
from monitor.publish.commands import PAYLOAD_CAP_BYTES, Commands, Refusal
from monitor.records import ActionName, Command, SettingName

MESSAGES = Messages("cry", "home", ["nursery", "attic"])
COMMANDS = Commands(MESSAGES, CATEGORIES)

VALID: list[tuple[str, str, Command]] = [
    *[("enabled", value, Command("attic", "enabled", value)) for value in ("ON", "OFF")],
    *[("sensitivity", value, Command("attic", "sensitivity", value)) for value in ("low", "normal", "high")],
    *[("alert_after", value, Command("attic", "alert_after", value)) for value in ("0", "45", "600")],
    *[("snooze", value, Command("attic", "snooze", value)) for value in ("0", "30", "720")],
    *[("feedback", value, Command("attic", "feedback", value)) for value in ("not_a_cry", "hungry", "tired")],
    (
        "feedback",
        '{"value": "hungry", "episode_id": "e1"}',
        Command("attic", "feedback", "hungry", episode_id="e1"),
    ),
    *[("acknowledge", name, Command("attic", "acknowledge", name)) for name in ("Anna", "Zoë Müller", "x" * 64)],
    *[("acknowledge", press, Command("attic", "acknowledge", "")) for press in ("", "PRESS")],
    *[("test_alert", press, Command("attic", "test_alert", "")) for press in ("", "PRESS")],
    *[("drill", press, Command("attic", "drill", "")) for press in ("", "PRESS")],
    *[("care/fed", press, Command("attic", "fed", "", at=T0)) for press in ("", "PRESS")],
    ("care/slept", "2026-09-21T14:00:00Z", Command("attic", "slept", "", at=1_789_999_200.0)),
    ("care/changed", "2026-09-21t16:00:00.500+02:00", Command("attic", "changed", "", at=1_789_999_200.5)),
    ("care/fed", "2026-09-21T14:14:20Z", Command("attic", "fed", "", at=T0 + 59.75)),
]

GARBAGE = {
    b"on",
    b" ON",
    b"ON\n",
    b"1e999",
    b"\x00\xff\xfe",
    b"null",
    b"{}",
    b"[]",
    b"NaN",
    b"ON" * 150_000,
    "\uff2f\uff2e".encode(),
    "٣".encode(),
    b"007",
    b"-1",
    b"1.5",
    b"721",
    b"{" * 250,
    b'{"value": "hungry"}',
    b'{"value": ["hungry"], "episode_id": "e1"}',
    b'{"value": "hungry", "episode_id": 1}',
    b'{"value": "hungry", "episode_id": ""}',
    b'{"value": "hungry", "episode_id": "\\ud800"}',
    b'{"value": "bored", "episode_id": "e1"}',
    b"2026-09-21",
    b"2026-02-31T14:00:00Z",
    b"2026-09-21T14:00:00",
    b"0001-01-01T00:00:00+14:00",
}
"""What no setting takes; a person's name is nearly anything, and has a test of its own."""


@pytest.mark.parametrize(("name", "payload", "command"), VALID)
def test_a_valid_command_passes(name: str, payload: str, command: Command) -> None:
    """Each value of each command, as it stands in the contract, is a command."""
    assert COMMANDS.parse(f"cry/home/attic/{name}/set", payload.encode(), now_at=T0) == command


@pytest.mark.parametrize("payload", sorted(GARBAGE), ids=lambda p: repr(p[:30]))
@pytest.mark.parametrize("name", [name for name in COMMANDS.topics if name != "acknowledge"])
def test_any_other_value_is_refused(name: str, payload: bytes) -> None:
    """A refusal names topic, value and what to send, in one printable line, however long the payload."""
    refusal = COMMANDS.parse(f"cry/home/nursery/{name}/set", payload, now_at=T0)
    assert isinstance(refusal, Refusal)
    sentence = str(refusal)
    assert f"cry/home/nursery/{name}/set" in sentence
    assert "send " in refusal.fix
    assert sentence.isprintable()
    assert len(sentence) < 400


@pytest.mark.parametrize("payload", [b"x" * 65, b"  ", b"Anna\n", b"\x00", b"\xff", "\u202e".encode()])
def test_a_name_is_what_can_be_shown(payload: bytes) -> None:
    """A person's name has 1 to 64 printable characters, and is not blank."""
    assert isinstance(COMMANDS.parse("cry/home/nursery/acknowledge/set", payload, now_at=T0), Refusal)


@pytest.mark.parametrize(
    "text", ["2026-09-20T14:13:20Z", "2026-09-21T14:14:21Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_care_is_of_the_last_day(text: str) -> None:
    """A time is at most 24 h old, and at most a minute ahead: a phone's clock may be."""
    assert isinstance(COMMANDS.parse("cry/home/nursery/care/fed/set", text.encode(), now_at=T0), Refusal)


def test_without_a_reason_model_feedback_takes_one_value() -> None:
    """Categories come from the model's manifest; none: `not_a_cry` alone."""
    commands = Commands(MESSAGES)
    assert isinstance(commands.parse("cry/home/nursery/feedback/set", b"hungry", now_at=T0), Refusal)
    command = commands.parse("cry/home/nursery/feedback/set", b"not_a_cry", now_at=T0)
    assert command == Command("nursery", "feedback", "not_a_cry")


@pytest.mark.parametrize("name", list(COMMANDS.topics))
def test_a_retained_command_is_refused(name: str) -> None:
    """The broker kept it from some other day: an old command must not act again."""
    refusal = COMMANDS.parse(f"cry/home/nursery/{name}/set", b"PRESS", now_at=T0, retained=True)
    assert "retain" in str(refusal)


def test_a_cut_payload_is_refused_whatever_is_left_of_it() -> None:
    """The first bytes of something long are no value, even where they would be one by themselves."""
    for name, payload in (("enabled", b"ON"), ("acknowledge", b"Anna")):
        refusal = COMMANDS.parse(f"cry/home/nursery/{name}/set", payload, now_at=T0, size=300_000)
        assert "300000 bytes" in str(refusal)


@pytest.mark.parametrize(
    ("topic", "named"),
    [
        ("cry/home/cellar/enabled/set", "nursery, attic"),
        ("cry/home/cellar/care/fed/set", "nursery, attic"),
        ("cry/home/nursery/lullaby/set", "enabled, sensitivity"),
        ("cry/home/nursery/care/bathed/set", "enabled, sensitivity"),
        ("cry/home/nursery/fed/set", "enabled, sensitivity"),
        ("cry/home/nursery/set", "enabled, sensitivity"),
        ("somewhere/else", "enabled, sensitivity"),
        ("cry/home/" + "x" * 60_000 + "/enabled/set", "nursery, attic"),
        ("cry/home/\n\x1b[31m/enabled/set", "nursery, attic"),
    ],
)
def test_an_unknown_room_or_setting_is_refused(topic: str, named: str) -> None:
    """The refusal says which rooms or settings there are."""
    refusal = COMMANDS.parse(topic, b"ON", now_at=T0)
    assert isinstance(refusal, Refusal)
    assert named in refusal.fix
    assert str(refusal).isprintable()


NAMES = st.sampled_from(list(COMMANDS.topics))


@given(
    name=st.one_of(NAMES, st.text(max_size=80)),
    payload=st.one_of(st.binary(max_size=2 * PAYLOAD_CAP_BYTES), st.text(max_size=80).map(str.encode)),
    retained=st.booleans(),
)
def test_nothing_gets_past_the_door(name: str, payload: bytes, *, retained: bool) -> None:
    """Whatever comes in, the answer is a refusal or a command of the contract, and never an error."""
    for where in (name, f"cry/home/{name}/set", f"cry/home/nursery/{name}/set"):
        answer = COMMANDS.parse(where, payload, now_at=T0, retained=retained)
        if isinstance(answer, Command):
            assert not retained
            assert answer.room in MESSAGES.rooms
            assert answer.value.isprintable()
            assert answer.at is None or T0 - 86_400 <= answer.at <= T0 + 60
        else:
            assert str(answer).isprintable()


@given(seconds=st.integers(0, 600), minutes=st.integers(0, 720), age_s=st.integers(-59, 86_400))
def test_a_number_and_a_time_come_through_as_they_are(seconds: int, minutes: int, age_s: int) -> None:
    """Each whole second, minute and instant of the contract is what its command says."""

    def meant(name: str, payload: str) -> Command | Refusal:
        return COMMANDS.parse(f"cry/home/nursery/{name}/set", payload.encode(), now_at=T0)

    settings: list[tuple[SettingName, str]] = [("alert_after", str(seconds)), ("snooze", str(minutes))]
    for setting, value in settings:
        assert meant(setting, value) == Command("nursery", setting, value)
    at = T0 - age_s
    assert meant("care/fed", datetime.fromtimestamp(at, UTC).isoformat()) == Command("nursery", "fed", "", at=at)


@given(name=st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=64))
def test_a_name_and_an_id_come_through_as_they_are(name: str) -> None:
    """Who acknowledged, and which cry is meant, in any script."""
    meant = COMMANDS.parse("cry/home/nursery/acknowledge/set", name.encode(), now_at=T0)
    assert meant == Command("nursery", "acknowledge", "" if name == "PRESS" else name)
    payload = json.dumps({"value": "hungry", "episode_id": name}, ensure_ascii=False).encode()
    about = COMMANDS.parse("cry/home/nursery/feedback/set", payload, now_at=T0)
    assert about == Command("nursery", "feedback", "hungry", episode_id=name)


ACTIONS: tuple[ActionName, ...] = ("acknowledge", "feedback", "test_alert", "drill", "fed", "slept", "changed")


def test_every_action_has_a_topic() -> None:
    """Each action and setting of the records can be asked for over MQTT."""
    asked = {name.rpartition("/")[2] for name in COMMANDS.topics}
    assert asked == {*ACTIONS, "enabled", "sensitivity", "alert_after", "snooze"}
