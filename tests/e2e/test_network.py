"""What the service connects to: the broker, and nothing else; and what it does without any network at all."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.service import REPOSITORY, Service, cry_monitor, room
from mqtt_broker import find, missing

NIGHT = REPOSITORY.parent / "shared" / "data" / "night" / "night.flac"

LOCAL = re.compile(r"/(var/)?run/(nscd/|systemd/|user/\d+/(pulse|systemd)/|pulse/)")
"""Unix sockets of this machine that may be asked: the name cache, the service manager, a sound server."""

ENDS = re.compile(
    r" (?:connect|sendto|sendmsg|sendmmsg)\(.*?sa_family=AF_(INET6?), sin6?_port=htons\((\d+)\).*?"
    r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"'
)
"""The other end of a call that names one: family, port, address."""

LONG_S = 300.0


@pytest.fixture(scope="session")
def apart() -> list[str]:
    """What runs a command in a network of its own, in which even the loopback is down."""
    command = [find("unshare", "util-linux"), *([] if os.geteuid() == 0 else ["--map-root-user"]), "--net", "--"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        if os.environ.get("CI"):
            pytest.fail("unshare --net is not permitted here; CI must run this as root")
        pytest.skip("unshare --net is not permitted here")
    return command


def run(command: list[str]) -> str:
    """Run a command as the tests run; return what it printed."""
    environ = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.broker
def test_it_connects_to_the_broker_alone(apart: list[str], tmp_path: Path, crying: Path) -> None:
    """Of all sockets that it opens while it hears and tells a cry, only the broker's leads out of it."""
    strace, _ = find("strace", "strace"), find("ip", "iproute2")
    if subprocess.run([strace, "-o", tmp_path / "try", "true"], capture_output=True, check=False).returncode:
        missing("permission to strace", "strace")
    told = json.loads(run([*apart, sys.executable, "-m", "tests.e2e.alone", str(tmp_path), str(crying)]))
    assert told["listening"] == [told["broker"]]
    calls = (tmp_path / "calls").read_text()
    # The client's thread is woken by a pair of sockets, one of which listened until the other had come.
    pairs = re.findall(r" listen\(\d+<TCP:\[127\.0\.0\.1:(\d+)\]>, 1\)", calls)
    assert len(pairs) == calls.count(" listen(") == 1
    ends = {(family, int(port), address) for family, port, address in ENDS.findall(calls)}
    allowed = {("INET", told["broker"], "127.0.0.1"), ("INET", int(pairs[0]), "127.0.0.1")}
    assert ("INET", told["broker"], "127.0.0.1") in ends
    assert ends <= allowed | {("INET6", told["broker"], "::1")}
    for name in re.findall(r'sa_family=AF_UNIX, sun_path=@?"([^"]*)"', calls):
        assert LOCAL.match(name), name
    assert set(re.findall(r"sa_family=AF_(\w+)", calls)) <= {"INET", "INET6", "UNIX", "NETLINK"}
    # Bound to a port of its own choice means: a client.
    assert set(re.findall(r" bind\(.*?sin6?_port=htons\((\d+)\)", calls)) <= {"0"}


@pytest.mark.parametrize("loopback", ["up", "down"])
def test_it_hears_without_a_network(apart: list[str], tmp_path: Path, crying: Path, loopback: str) -> None:
    """No network, and a broker whose name nobody knows: the cry is heard and kept, and one line says what is wrong."""
    find("ip", "iproute2")
    inside = f'ip link set lo {loopback} && exec "$0" -m monitor run "$@"'
    command = [*apart, "sh", "-c", inside, sys.executable]
    start = ("-c", f"import os, sys; os.execvp('unshare', {command!r} + sys.argv[1:])")
    with Service(
        tmp_path, host="broker.lan", port=1883, rooms={"nursery": room(crying, speed=20.0)}, command=start
    ) as it:
        it.wait_for_line("source_ended")
        it.stop()
        (lost,) = it.logged("mqtt_lost")
        assert ("broker.lan" if loopback == "up" else "loopback") in f"{lost['err']} {lost['fix']}"
        assert len(it.logged("cry_started")) == 1
    kept = cry_monitor("history", "--jsonl", "--config", it.config)
    assert kept.stdout.count('"started_at"') == 1, kept.stderr


@pytest.mark.parametrize("recording", ["shipped", pytest.param("night", marks=pytest.mark.slow)])
def test_a_recording_is_judged_without_a_network(apart: list[str], crying: Path, recording: str) -> None:
    """`replay` hears the same without any network as with one, be it a whole night."""
    sound = crying if recording == "shipped" else NIGHT
    if not sound.exists():
        pytest.skip(f"{sound} is not here")
    replay = [sys.executable, "-m", "monitor", "replay", "--jsonl", str(sound)]
    heard = [json.loads(line) for line in run([*apart, *replay]).splitlines()]
    assert "cry_ended" in {event["event_type"] for event in heard}
