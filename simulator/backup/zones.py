"""Offsets of the Windows time zones a policy may name.

Backup schedules do not follow daylight saving time (facts §6.2), so the standard offset is all
there is to know. The table covers the zones of every Azure region; another name is refused.
"""

from datetime import timedelta

_OFFSETS: dict[int, str] = {
    -720: "Dateline Standard Time",
    -660: "UTC-11|Samoa Standard Time",
    -600: "Hawaiian Standard Time|Aleutian Standard Time",
    -540: "Alaskan Standard Time",
    -480: "Pacific Standard Time|Pacific Standard Time (Mexico)",
    -420: "Mountain Standard Time|US Mountain Standard Time|Mountain Standard Time (Mexico)",
    -360: "Central Standard Time|Central America Standard Time|Central Standard Time (Mexico)|"
    "Canada Central Standard Time",
    -300: "Eastern Standard Time|US Eastern Standard Time|SA Pacific Standard Time|"
    "Eastern Standard Time (Mexico)",
    -240: "Atlantic Standard Time|Pacific SA Standard Time|SA Western Standard Time|"
    "Central Brazilian Standard Time|Paraguay Standard Time|Venezuela Standard Time",
    -210: "Newfoundland Standard Time",
    -180: "E. South America Standard Time|Argentina Standard Time|SA Eastern Standard Time|"
    "Greenland Standard Time|Montevideo Standard Time|Bahia Standard Time",
    -120: "UTC-02|Mid-Atlantic Standard Time",
    -60: "Azores Standard Time|Cape Verde Standard Time",
    0: "UTC|GMT Standard Time|Greenwich Standard Time|Morocco Standard Time",
    60: "W. Europe Standard Time|Central Europe Standard Time|Romance Standard Time|"
    "Central European Standard Time|W. Central Africa Standard Time",
    120: "E. Europe Standard Time|GTB Standard Time|FLE Standard Time|Israel Standard Time|"
    "South Africa Standard Time|Egypt Standard Time|Jordan Standard Time|"
    "Middle East Standard Time|Syria Standard Time|Kaliningrad Standard Time",
    180: "Russian Standard Time|Arab Standard Time|Arabic Standard Time|Turkey Standard Time|"
    "E. Africa Standard Time|Belarus Standard Time",
    210: "Iran Standard Time",
    240: "Arabian Standard Time|Azerbaijan Standard Time|Mauritius Standard Time|"
    "Georgian Standard Time|Caucasus Standard Time",
    270: "Afghanistan Standard Time",
    300: "Pakistan Standard Time|West Asia Standard Time|Ekaterinburg Standard Time",
    330: "India Standard Time|Sri Lanka Standard Time",
    345: "Nepal Standard Time",
    360: "Central Asia Standard Time|Bangladesh Standard Time|Omsk Standard Time",
    390: "Myanmar Standard Time",
    420: "SE Asia Standard Time|N. Central Asia Standard Time|North Asia Standard Time",
    480: "China Standard Time|Singapore Standard Time|W. Australia Standard Time|"
    "Taipei Standard Time|North Asia East Standard Time|Ulaanbaatar Standard Time",
    540: "Tokyo Standard Time|Korea Standard Time|Yakutsk Standard Time",
    570: "AUS Central Standard Time|Cen. Australia Standard Time",
    600: "AUS Eastern Standard Time|E. Australia Standard Time|Tasmania Standard Time|"
    "West Pacific Standard Time|Vladivostok Standard Time",
    660: "Central Pacific Standard Time|Magadan Standard Time",
    720: "New Zealand Standard Time|Fiji Standard Time|UTC+12",
    780: "Tonga Standard Time|UTC+13",
}
_BY_NAME = {
    name.lower(): timedelta(minutes=minutes)
    for minutes, names in _OFFSETS.items()
    for name in names.split("|")
}


def offset(zone: str) -> timedelta | None:
    """Return the standard offset of a Windows zone, or None for a name that is not one."""
    return _BY_NAME.get(zone.lower())
