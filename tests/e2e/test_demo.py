"""What a newcomer sees first."""

from pathlib import Path

from e2e.service import cry_monitor


def test_the_demo_shows_a_cry() -> None:
    """`demo --fast` needs nothing, prints the cry's messages with their topics, and ends by itself with 0."""
    result = cry_monitor("demo", "--fast")
    assert (result.returncode, result.stderr) == (0, "")
    words = [line.split() for line in result.stdout.splitlines()]
    told = [(line[1], line[2]) for line in words if len(line) > 2 and line[1].startswith("cry/")]
    events = [value for topic, value in told if topic == "cry/demo/nursery/event"]
    states = [value for topic, value in told if topic == "cry/demo/nursery/state"]
    assert events == ["cry_started", "alert", "cry_ended"]
    assert [state for state in states if state.startswith("crying=")][-2:] == ["crying=ON", "crying=OFF"]
    assert [value for topic, value in told if topic == "cry/demo/status"] == ["online", "offline"]


def test_the_demo_writes_in_no_log_of_alerts(tmp_path: Path) -> None:
    """The recording's alert is nobody's: the household's log of alerts gets no line of it."""
    alerts = tmp_path / "alerts.jsonl"
    result = cry_monitor("demo", "--fast", "--set", f"log.alerts={alerts}")
    assert (result.returncode, result.stderr) == (0, "")
    assert not alerts.exists()
