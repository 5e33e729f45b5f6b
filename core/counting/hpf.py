"""The microscope's high-power field: what its field number and objective make of it.

The area of a field is π (field number / 2 / magnification)², as in Pathologica, "How to measure
your microscope's HPF": field number 22 at 40x is 0.55 mm across and 0.238 mm².
"""

from math import isfinite, pi

from core.errors import InputError


def field_diameter_mm(field_number_mm: float, objective: float) -> float:
    """Diameter of the field in mm.

    Args:
        field_number_mm: engraved on the eyepiece, 22 for instance.
        objective: its magnification, 40 for instance.

    Raises:
        InputError: one of them is not a number above 0.
    """
    for name, value in (("field number", field_number_mm), ("objective", objective)):
        if not (isfinite(value) and value > 0):
            raise InputError(f"A {name} of {value:g} is not possible.")
    return field_number_mm / objective


def field_area_mm2(field_number_mm: float, objective: float) -> float:
    """Area of the field in mm²; arguments and errors as `field_diameter_mm`."""
    return circle_area_mm2(field_diameter_mm(field_number_mm, objective))


def circle_area_mm2(diameter_mm: float) -> float:
    """Area in mm² of a round field of this diameter."""
    return pi * (diameter_mm / 2) ** 2
