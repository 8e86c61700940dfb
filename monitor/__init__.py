"""cry-monitor: hears a baby's cry in a room and says so over MQTT.

Rooms of the house, in the order that sound takes: `capture` (source, ring, gate), `detect` (model, episodes),
`publish` (messages, broker, history). None imports another: they meet in `records` and `handoff`; `app` joins them.
"""

__version__ = "0.1.0"
