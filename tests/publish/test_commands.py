import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.publish import Messages
from monitor.publish.commands import PAYLOAD_CAP_BYTES, Refusal, parse_command
from monitor.publish.messages import SETTING_VALUES
from monitor.records import Command, SettingName

MESSAGES = Messages("cry", "home", ["nursery", "attic"])
VALID = [(setting, value) for setting, values in SETTING_VALUES.items() for value in values]


@pytest.mark.parametrize(("setting", "value"), VALID)
def test_a_valid_command_passes(setting: SettingName, value: str) -> None:
    """Each value of each setting, as it stands in the contract, is a command."""
    topic = f"cry/home/attic/{setting}/set"
    assert parse_command(MESSAGES, topic, value.encode()) == Command("attic", setting, value)


@pytest.mark.parametrize(
    "payload",
    [b"", b"on", b" ON", b"ON\n", b"1e999", b"\x00\xff\xfe", b"null", b"{}", b"ON" * 150_000, "\uff2f\uff2e".encode()],
)
@pytest.mark.parametrize("setting", list(SETTING_VALUES))
def test_any_other_value_is_refused(setting: SettingName, payload: bytes) -> None:
    """A refusal names topic, value and what to send, in one printable line, however long the payload."""
    refusal = parse_command(MESSAGES, f"cry/home/nursery/{setting}/set", payload)
    assert isinstance(refusal, Refusal)
    sentence = str(refusal)
    assert f"cry/home/nursery/{setting}/set" in sentence
    assert SETTING_VALUES[setting][-1] in refusal.fix
    assert sentence.isprintable()
    assert len(sentence) < 400


def test_a_retained_command_is_refused() -> None:
    """The broker kept it from some other day: an old command must not act again."""
    refusal = parse_command(MESSAGES, "cry/home/nursery/enabled/set", b"OFF", retained=True)
    assert "retain" in str(refusal)


def test_a_cut_payload_is_refused_whatever_is_left_of_it() -> None:
    """The first bytes of something long are no value, even where they would be one by themselves."""
    refusal = parse_command(MESSAGES, "cry/home/nursery/enabled/set", b"ON", size=300_000)
    assert "300000 bytes" in str(refusal)


@pytest.mark.parametrize(
    ("topic", "named"),
    [
        ("cry/home/cellar/enabled/set", "nursery, attic"),
        ("cry/home/nursery/snooze/set", "enabled, sensitivity"),
        ("cry/home/nursery/set", "enabled, sensitivity"),
        ("somewhere/else", "enabled, sensitivity"),
        ("cry/home/" + "x" * 60_000 + "/enabled/set", "nursery, attic"),
        ("cry/home/\n\x1b[31m/enabled/set", "nursery, attic"),
    ],
)
def test_an_unknown_room_or_setting_is_refused(topic: str, named: str) -> None:
    """The refusal says which rooms or settings there are."""
    refusal = parse_command(MESSAGES, topic, b"ON")
    assert isinstance(refusal, Refusal)
    assert named in refusal.fix
    assert str(refusal).isprintable()


@given(topic=st.text(max_size=80), payload=st.binary(max_size=2 * PAYLOAD_CAP_BYTES), retained=st.booleans())
def test_nothing_gets_past_the_door(topic: str, payload: bytes, *, retained: bool) -> None:
    """Whatever comes in, the answer is a refusal or a command of the contract, and never an error."""
    for where in (topic, f"cry/home/{topic}/set", "cry/home/nursery/enabled/set", f"cry/home/nursery/{topic}/set"):
        answer = parse_command(MESSAGES, where, payload, retained=retained)
        if isinstance(answer, Command):
            assert not retained
            assert answer.value in SETTING_VALUES[answer.setting]
            assert answer.room in MESSAGES.rooms
            assert answer.value.encode() == payload
