"""`run`: the service, until it is told to stop."""

import sys

from monitor import app, service
from monitor.config import Loaded


def run(loaded: Loaded) -> int:
    """Run the service in the foreground; logs to standard output."""
    config = loaded.config
    service.configure_logging(config.log.level, sys.stdout, config.node.id, secrets=config.secrets)
    with app.stop_on_signals() as stop:
        return app.run(config, stop=stop)
