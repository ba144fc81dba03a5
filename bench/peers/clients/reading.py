"""What the Python clients share: the columns, and a message as a row."""

import json

COLUMNS = ("ts", "sensor_id", "sensor_type", "factory_section", "machine_id",
           "zone", "value", "unit", "alert_level", "quality", "reading_count",
           "warning_threshold", "critical_threshold")


def row(payload):
    """The values of the columns."""
    message = json.loads(payload)
    location = message["location"]
    metadata = message["metadata"]
    return (message["timestamp"], message["sensor_id"],
            message["sensor_type"], location["factory_section"],
            location["machine_id"], location["zone"], message["value"],
            message["unit"], message["alert_level"], message["quality"],
            metadata["reading_count"], metadata["warning_threshold"],
            metadata["critical_threshold"])
