"""Which device a setting means."""

import pytest

from monitor.devices import Device, choose
from monitor.errors import SourceError

USB = Device(4, "USB PnP Sound Device: Audio (hw:1,0)")
INTEL = Device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)", default=True)
SPEAKER = Device(7, "alsa_output.usb.analog-stereo.monitor", "Monitor of USB PnP Headset")
NURSERY = Device(1, "nursery.monitor", "Monitor of Null Output")
NURSERY_2 = Device(2, "nursery_2.monitor", "Monitor of Null Output")


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("4", USB),
        ("usb pnp", USB),
        ("HW:0,0", INTEL),
        ("alsa_output.usb", SPEAKER),
        ("Monitor of USB PnP Headset", SPEAKER),
        ("nursery", NURSERY),
        ("nursery_2", NURSERY_2),
        ("nursery_2.monitor", NURSERY_2),
    ],
)
def test_one_device_is_meant(wanted: str, meant: Device) -> None:
    """An index, a whole name in any case or a part of one; a microphone goes before a loudspeaker."""
    assert choose([USB, INTEL, SPEAKER, NURSERY, NURSERY_2], wanted) is meant


def test_a_device_that_is_not_there() -> None:
    """What fits nothing is an error that names what there is."""
    with pytest.raises(
        SourceError, match=r'device "Logitech": there is no such one; there are: USB PnP .*\[4\]'
    ) as told:
        choose([USB], "Logitech")
    assert "list-devices" in told.value.fix
    with pytest.raises(SourceError, match="there is none at all"):
        choose([], "Logitech")


def test_several_devices_fit() -> None:
    """Where several fit, none is taken: a guess could be another room."""
    with pytest.raises(SourceError, match=r"several fit: .*hw:1,0.*hw:0,0"):
        choose([USB, INTEL], "(hw:")
