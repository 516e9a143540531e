"""Whether numbers that are compared were made on devices of one type."""

from typing import TYPE_CHECKING

from analysis.labels import enumeration

if TYPE_CHECKING:
    import pandas as pd


def device_note(used: "pd.DataFrame") -> str:
    """A warning where complete runs were trained on several types of devices; empty where they were not.

    Args:
        used: rows of table `runs`.
    """
    known = used.reindex(columns=["device", "device_name"]).dropna(how="all").astype(object)
    names = known["device_name"].fillna(known["device"])
    counts = names.value_counts(sort=True)
    if len(counts) < 2:
        return ""
    devices = enumeration([f"{count} on {name}" for name, count in counts.items()])
    return f"Warning: the runs were trained on different types of devices ({devices}): differences may be theirs."
