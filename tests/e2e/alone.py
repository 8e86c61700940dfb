"""The service on a machine whose network is itself and a broker: a program for `unshare -n`.

Usage: unshare -n python -m tests.e2e.alone FOLDER RECORDING

Starts the broker and, under strace, the service, which hears the recording to its end. FOLDER/calls has every system
call that names a socket. Prints on which ports the machine listens meanwhile.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from e2e.heard import STATUS, wait_for_event, wait_for_text
from e2e.service import Service, room
from mqtt_broker import Mosquitto, recording, running, wait_until

CALLS = "connect,bind,listen,sendto,sendmsg,sendmmsg"
LISTENS = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


def under_strace(calls: Path) -> tuple[str, ...]:
    """Return what starts the service with each of these calls written down; signals go to the service itself."""
    strace = ["strace", "-D", "-f", "-yy", "-s", "0", "-o", str(calls), "-e", f"trace={CALLS}"]
    service = [*strace, sys.executable, "-m", "monitor", "run"]
    return "-c", f"import os, sys; os.execvp('strace', {service!r} + sys.argv[1:])"


def listening() -> list[int]:
    """Return the TCP ports that somebody listens on in this network."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENS]


def main() -> None:
    """Run it."""
    folder, sound = map(Path, sys.argv[1:])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    calls = folder / "calls"
    with running(Mosquitto(folder)) as mosquitto, recording(mosquitto.port) as recorder:
        service = Service(
            folder,
            host="localhost",
            port=mosquitto.port,
            rooms={"nursery": room(sound)},
            command=under_strace(calls),
        )
        with service:
            wait_for_text(recorder, STATUS, "online")
            wait_for_event(recorder, "cry_ended")
            print(json.dumps({"broker": mosquitto.port, "listening": listening()}))  # noqa: T201 - the result
            service.stop()
            end = re.compile(rf"^{service.pid} +\+\+\+ exited with 0", re.MULTILINE)  # a short number is filled up
            wait_until(lambda: end.search(calls.read_text()) is not None, "strace has written the last call")


if __name__ == "__main__":
    main()
