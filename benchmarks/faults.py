"""What faults cost: seconds until the next event arrives, events lost and repeated, warnings in the log.

usage: python benchmarks/faults.py [--hang-s SECONDS] [--kills N] [--seed N]

Each fault strikes a service of its own whose rooms cry each two seconds, on a real mosquitto with a subscriber that
sees everything. The seconds count from the end of the fault. What is lost is in the history and never arrived.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from e2e.faults import event_ids, kill_in_episodes, pass_s, restless, stored
from e2e.service import Service
from mqtt_broker import Mosquitto, Recorder, recording, running

PATIENCE_S = 60.0


@contextmanager
def broker() -> Iterator[tuple[Path, Mosquitto]]:
    """Start a broker with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, running(Mosquitto(Path(folder))) as mosquitto:
        yield Path(folder), mosquitto


def row(fault: str, seconds: float | None, lost: int, again: int, said: str) -> None:
    """Print a row of the table."""
    took = "-" if seconds is None else f"{seconds:.1f}"
    print(f"{fault:<44}{took:>8}{lost:>6}{again:>7}  {said}", flush=True)


def strike(fault: str, hit: Callable[[Service, Mosquitto], None], *, broker_dies: bool = False) -> None:
    """Let a fault come and go, and say what it cost."""
    with broker() as (folder, mosquitto):
        service = Service(folder, port=mosquitto.port, rooms={"nursery": restless()})
        with recording(mosquitto.port) as recorder, service:
            wait_for_events(recorder, 6)
            before = event_ids(recorder.received)
            hit(service, mosquitto)
            if not broker_dies:
                seconds = until_the_next(recorder, len(before))
                service.stop()
                came = event_ids(recorder.received)
            else:
                with recording(mosquitto.port) as later:
                    seconds = until_the_next(later, 0)
                    service.stop()
                    came = before + event_ids(later.received)
        kept = {event["event_id"] for event in stored(service.history)}
        warnings = Counter(line["event"] for line in service.lines if line["level"] == "warning")
        said = ", ".join(f"{count} {event}" for event, count in warnings.items())
        row(fault, seconds, len(kept - set(came)), len(came) - len(set(came)), said)


def wait_for_events(recorder: Recorder, count: int) -> None:
    """Wait for so many events."""
    recorder.wait_for(lambda all_: len(event_ids(all_)) >= count, f"{count} events", PATIENCE_S)


def until_the_next(recorder: Recorder, told: int) -> float:
    """Return the seconds until there is an event more."""
    began_s = time.monotonic()
    wait_for_events(recorder, told + 1)
    return time.monotonic() - began_s


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hang-s", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    args = parser.parse_args()

    def killed(_service: Service, mosquitto: Mosquitto) -> None:
        mosquitto.kill()
        pass_s(10.0)
        mosquitto.start()

    def hung(_service: Service, mosquitto: Mosquitto) -> None:
        mosquitto.pause()
        pass_s(args.hang_s)
        mosquitto.resume()

    def overwritten(service: Service, _mosquitto: Mosquitto) -> None:
        with service.history.open("r+b") as file:
            file.write(os.urandom(service.history.stat().st_size))
        pass_s(15.0)

    def removed(service: Service, _mosquitto: Mosquitto) -> None:
        service.history.unlink()
        pass_s(15.0)

    print(f"{'fault':<44}{'s until':>8}{'lost':>6}{'again':>7}  warnings")
    strike("broker killed, back after 10 s", killed, broker_dies=True)
    strike(f"broker hung (SIGSTOP) for {args.hang_s:.0f} s", hung)
    strike("history overwritten while it runs, after 15 s", overwritten)
    strike("history removed while it runs, after 15 s", removed)
    with broker() as (folder, mosquitto):
        told = kill_in_episodes(folder, mosquitto, kills=args.kills, seed=args.seed)
        said = f"{told.stored} events, {told.interrupted} cries cut short, seed {args.seed}"
        row(f"service killed {args.kills} times", None, len(told.lost), told.again, said)


if __name__ == "__main__":
    main()
