"""How a value is written as an argument of a command: each number in one way only."""

from __future__ import annotations

import math

# Beyond these powers of ten a number is written with an exponent.
_LARGEST, _SMALLEST = 21, -6


def spell_number(number: int | float) -> str:
    """Write a number in its one shortest form, so that 8 and 8.0 are the same.

    Floats are written as RFC 8785 (JSON Canonicalization Scheme, section 3.2.2.3) does,
    which is what ECMAScript's ``Number.prototype.toString`` gives. Whole numbers that
    are no float keep all their digits.

    Raises:
        ValueError: It is not finite.
    """
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no finite number")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    # Python's repr finds the same shortest digits, and only sets them differently.
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    significant = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)
    point -= len(whole + fraction) - len(significant)
    digits = significant.rstrip("0")
    if len(digits) <= point <= _LARGEST:
        return sign + digits.ljust(point, "0")
    if 0 < point <= _LARGEST:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _SMALLEST < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+}"


def spell(value: str | int | float | bool) -> str:
    """Write a value as an argument: a text as it is, a truth as true or false.

    Raises:
        ValueError: It is a number that is not finite.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else spell_number(value)
