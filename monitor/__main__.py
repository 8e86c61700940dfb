"""`python -m monitor` is `cry-monitor`."""

from monitor.cli import main

main()
