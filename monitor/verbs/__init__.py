"""One file for each command, named as it: it takes what `load_config` found and returns the exit code."""
