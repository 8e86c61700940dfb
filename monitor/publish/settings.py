"""Which value a setting starts with, after somebody set it over MQTT and somebody edited the configuration."""

from collections.abc import Mapping

import structlog

from monitor.records import SettingName

log = structlog.get_logger()

Key = tuple[str, SettingName]
"""A room's id and the setting's name."""


def settle(
    configured: Mapping[Key, str],
    stored: Mapping[Key, tuple[str, str]],
) -> tuple[dict[Key, str], list[Key]]:
    """Return the settings to start with, and which stored ones are to be dropped. Logged either way.

    Args:
        configured: What the configuration says now.
        stored: Each setting made over MQTT, with the configured value that it overrode. Where the configuration says
            something else by now, somebody edited it since, and it wins.
    """
    settled = dict(configured)
    dropped = []
    for key, (value, overrode) in stored.items():
        if key not in configured:
            continue
        kept = overrode == configured[key]
        if kept:
            settled[key] = value
        else:
            dropped.append(key)
        log.info(
            "setting_kept" if kept else "setting_dropped",
            room=key[0],
            setting=key[1],
            stored=value,
            configured=configured[key],
        )
    return settled, dropped
