"""The life of the service on one page: start order, supervision, stop order."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

import structlog

from monitor import service
from monitor.assembly import build, open_history
from monitor.config import Config
from monitor.detect import Model, load_model, models_folder, reasons_or_none
from monitor.line import Service
from monitor.threads import report_stray_deaths

log = structlog.get_logger()

STOOD_STILL_S = 5.0
"""Where a look at the threads is so late, this thread itself was not let run: a machine that was suspended, SIGSTOP."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or SIGINT sets; a second signal ends the process at once, with exit code 1.

    SIGHUP is one line of the log: nothing is read anew, and a terminal that closes must not make the house deaf.
    """
    stop = threading.Event()

    def handle(number: int, _: object) -> None:
        if number == signal.SIGHUP:
            log.info("sighup_ignored", fix="settings are read at the start: restart to apply them")
            return
        if stop.is_set():
            service.exit_now(1)
        stop.set()  # first: a second signal may come while the line is written
        log.info("stopping", signal=signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    config: Config,
    *,
    stop: threading.Event,
    load: Callable[..., Model] = load_model,
    until: Callable[[], bool] = lambda: False,
) -> int:
    """Run the service until `stop` is set or `until` says so; blocks. Called by the main thread.

    Args:
        config: All settings.
        stop: Ends it in order.
        load: Loads the cry model.
        until: Asked at least once a second; True ends it in order, too.

    Returns:
        The exit code: 0 after an orderly stop, 1 when a thread died or hung (no `offline` is said then: the broker
        sends the will).

    Raises:
        ModelError: The cry model cannot be used.
    """
    report_stray_deaths()
    model = load(config.model.path or models_folder() / "cry", config.model.runtime)
    line = build(config, model, open_history(config), reasons_or_none(config.reason, config.model.runtime))
    line.start()
    log.info("ready", node=config.node.id, rooms=list(config.rooms), model=model.label, runtime=model.runtime)
    service.notify("READY=1")
    if not supervise(line, service.Host(), stop=stop, until=until):
        return 1
    service.notify("STOPPING=1")
    if not line.stop():
        log.error("stop_took_too_long")
        return 1
    log.info("stopped")
    return 0


def supervise(
    line: Service,
    host: service.Host,
    *,
    stop: threading.Event,
    until: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Watch over the threads and keep the service manager told; blocks. Return False when a thread died or hung."""
    unwell: str | None = None
    looked_s, stood_still = clock(), False
    while not stop.wait(host.tick_s) and not until():
        before_s, looked_s = looked_s, clock()
        stood_still = looked_s - before_s > STOOD_STILL_S and not stood_still
        if stood_still:
            continue  # all the others were not let run either, and have until the next look to show that they live
        fault = line.fault()
        if fault is not None:
            log.error("thread_fault", err=fault)
            host.say(f"{fault.partition(':')[0]}; see the log")  # not the error: only the log blots out secrets
            return False
        before, unwell = unwell, line.unwell()
        if unwell is not None and before is None:
            log.warning("watchdog_unfed", err=unwell)
        host.tick(well=unwell is None, status=line.status())
    return True
