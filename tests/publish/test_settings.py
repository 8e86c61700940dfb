from monitor.publish.settings import Key, settle

ENABLED: Key = ("nursery", "enabled")
SENSITIVITY: Key = ("nursery", "sensitivity")


def test_a_setting_made_over_mqtt_outlives_a_restart() -> None:
    """The configuration is as it was when the setting was made: the setting wins."""
    assert settle({SENSITIVITY: "normal"}, {SENSITIVITY: ("high", "normal")}) == ({SENSITIVITY: "high"}, [])


def test_a_later_edit_of_the_configuration_wins() -> None:
    """The configuration says something else than what the setting overrode: somebody edited it since."""
    assert settle({SENSITIVITY: "low"}, {SENSITIVITY: ("high", "normal")}) == ({SENSITIVITY: "low"}, [SENSITIVITY])


def test_a_room_that_is_gone_changes_nothing() -> None:
    """The setting of a room that is not configured is left alone: the room may come back."""
    assert settle({ENABLED: "ON"}, {("attic", "enabled"): ("OFF", "ON")}) == ({ENABLED: "ON"}, [])
