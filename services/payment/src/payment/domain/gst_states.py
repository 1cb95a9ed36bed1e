"""The states and union territories of India by their GST codes, the first two digits of every GSTIN.

Source: the GST portal's list of states; its codes for other countries (96) and foreign suppliers (99) are no place in
India and take no tax that is computed here.
"""

from datetime import date
from typing import Final

from msgspec import Struct


class GstState(Struct, frozen=True):
    """A code and when it was in use: from *since*, and not from *until* on."""

    code: str
    name: str
    since: date | None = None
    until: date | None = None


_ROWS = (
    GstState("01", "Jammu and Kashmir"),
    GstState("02", "Himachal Pradesh"),
    GstState("03", "Punjab"),
    GstState("04", "Chandigarh"),
    GstState("05", "Uttarakhand"),
    GstState("06", "Haryana"),
    GstState("07", "Delhi"),
    GstState("08", "Rajasthan"),
    GstState("09", "Uttar Pradesh"),
    GstState("10", "Bihar"),
    GstState("11", "Sikkim"),
    GstState("12", "Arunachal Pradesh"),
    GstState("13", "Nagaland"),
    GstState("14", "Manipur"),
    GstState("15", "Mizoram"),
    GstState("16", "Tripura"),
    GstState("17", "Meghalaya"),
    GstState("18", "Assam"),
    GstState("19", "West Bengal"),
    GstState("20", "Jharkhand"),
    GstState("21", "Odisha"),
    GstState("22", "Chhattisgarh"),
    GstState("23", "Madhya Pradesh"),
    GstState("24", "Gujarat"),
    # Merged into 26 on the day named.
    GstState("25", "Daman and Diu", until=date(2020, 1, 26)),
    GstState("26", "Dadra and Nagar Haveli and Daman and Diu"),
    GstState("27", "Maharashtra"),
    # Divided into 36 and 37 before GST began.
    GstState("28", "Andhra Pradesh before its division", until=date(2014, 6, 2)),
    GstState("29", "Karnataka"),
    GstState("30", "Goa"),
    GstState("31", "Lakshadweep"),
    GstState("32", "Kerala"),
    GstState("33", "Tamil Nadu"),
    GstState("34", "Puducherry"),
    GstState("35", "Andaman and Nicobar Islands"),
    GstState("36", "Telangana"),
    GstState("37", "Andhra Pradesh"),
    GstState("38", "Ladakh", since=date(2019, 10, 31)),
    # Offshore installations and the like.
    GstState("97", "Other Territory"),
)
STATES: Final = {row.code: row for row in _ROWS}


def is_state(code: str, on: date) -> bool:
    """Whether *code* stands for a state or territory of India on that day."""
    state = STATES.get(code)
    if state is None:
        return False
    return (state.since is None or state.since <= on) and (state.until is None or on < state.until)
