"""`run`: the service, until it is told to stop."""

import sys
from collections.abc import Callable

from monitor import app, service
from monitor.config import Loaded, tell_exposed
from monitor.detect import Model, load_model


def run(loaded: Loaded, load: Callable[..., Model] = load_model) -> int:
    """Run the service in the foreground; logs to standard output.

    After a fault the process ends here, without the interpreter's own end: a thread may still hang in foreign code,
    which that end would trip over (measured: soxr's stream in a capture thread fills standard error).
    """
    config = loaded.config
    service.configure_logging(config.log.level, sys.stdout, config.node.id, secrets=config.secrets)
    tell_exposed(loaded)
    with app.stop_on_signals() as stop:
        code = app.run(config, stop=stop, load=load)
    if code:
        service.exit_now(code)
    return code
