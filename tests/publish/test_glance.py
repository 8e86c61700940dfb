import pytest
from publish.make import T0, alert, drilled, event, health, rehearsed

from monitor.publish import Glance
from monitor.records import Event


@pytest.mark.parametrize("record", [alert(), rehearsed(), drilled(), event("acknowledged")])
def test_an_alert_is_no_cry(record: Event) -> None:
    """Who looks at the service's status sees cries begin and end with their own events, not with a test."""
    quiet = Glance.of(["nursery"]).after(health())
    assert quiet.after(record) == quiet
    crying = quiet.after(event("cry_started"))
    assert crying.after(record) == crying
    assert "CRYING" in crying.after(record).in_words(T0)
