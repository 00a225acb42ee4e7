"""Numbers as text: one place decides digits, signs and what stands for a missing number."""

from __future__ import annotations

import math

MINUS = "\u2212"
TIMES = "\u00d7\u202f"
MISSING = "n/a"


def number(value: float, digits: int = 1) -> str:
    """A number with a true minus sign, grouped thousands, and no negative zero.

    Example:
        >>> number(-3.14159), number(-0.01), number(4868.2), number(float("nan")), number(float("inf"))
        ('−3.1', '0.0', '4,868', 'n/a', '∞')
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{abs(value):,.{digits if abs(value) < 1000 else 0}f}"
    is_zero = not any(digit in text for digit in "123456789")
    return text if value >= 0 or is_zero else MINUS + text


def interval(low: float, high: float, digits: int = 1) -> str:
    r"""A 95 % interval in brackets that does not break over lines, or the mark for a missing one.

    Example:
        >>> interval(-1.25, 4), interval(float("nan"), 2.0)
        ('[−1.2,\xa04.0]', 'n/a')
    """
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"[{number(low, digits)},\u00a0{number(high, digits)}]"


def p_value(p: float) -> str:
    r"""A p value with as many digits as it deserves.

    Example:
        >>> p_value(0.00001), p_value(0.01234), p_value(0.61), p_value(float("nan"))
        ('<\u202f0.001', '0.012', '0.61', 'n/a')
    """
    if math.isnan(p):
        return MISSING
    if p < 0.001:
        return "<\u202f0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def small(value: float) -> str:
    """Three significant digits, powers of ten written out as ``1.2e−9``.

    Example:
        >>> small(0.21124), small(1.23e-9), small(-0.0084), small(12.345)
        ('0.211', '1.2e−9', '−0.0084', '12.3')
    """
    if not math.isfinite(value):
        return number(value)
    if value != 0 and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    return f"{value:.3g}".replace("-", MINUS)


def percent(share: float, digits: int = 0) -> str:
    r"""A share as a percentage.

    Example:
        >>> percent(0.5), percent(0.01234, 1)
        ('50\xa0%', '1.2\xa0%')
    """
    return MISSING if math.isnan(share) else f"{number(share * 100, digits)}\u00a0%"


def duration(seconds: float) -> str:
    """Wall-clock time for people.

    Example:
        >>> duration(42.2), duration(512), duration(7384)
        ('42 s', '8 min 32 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def memory(size_bytes: float) -> str:
    """Bytes as MB or GB (powers of ten).

    Example:
        >>> memory(3_210_000_000), memory(12_000_000)
        ('3.2 GB', '12 MB')
    """
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def listed(words: list[str], conjunction: str = "and") -> str:
    """Words joined as in a sentence.

    Example:
        >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
        ('a', 'a and b', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def share_bar(share: float) -> float | None:
    """Width in per cent of a bar that is four fifths full at a share of 1 and full at 1.25; None where unknown.

    Example:
        >>> share_bar(0.5), share_bar(-1.0), share_bar(9.0), share_bar(float("nan"))
        (40.0, 0.0, 100.0, None)
    """
    return round(min(max(share, 0.0), 1.25) * 80, 1) if math.isfinite(share) else None
