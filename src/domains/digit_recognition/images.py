"""Bring any picture of a digit into the form of MNIST's.

MNIST's digits are light ink on dark paper, scaled to fit 20 x 20 pixels and placed so
that their centre of mass is in the middle of 28 x 28 (LeCun, Cortes and Burges, "The
MNIST database of handwritten digits"). Everything that a model sees goes through here,
unless it is MNIST itself, which comes out almost as it went in.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from common.errors import UserError

SIZE = 28
_BOX = 20
# Ink fainter than this share of the darkest is paper: noise, shadows, rounding.
_FAINT = 0.1
# A picture with less contrast, of 0 to 1, shows nothing.
_BLANK = 0.05


def read_digit(path: Path, invert: str = "auto") -> npt.NDArray[np.float32]:
    """Read a PNG file of any size and colour that shows one digit.

    Args:
        path: The file.
        invert: "yes" for dark ink on light paper, "no" for light on dark, "auto" to
            tell by the picture's border.

    Returns:
        The digit as in MNIST, [28, 28], 0 (paper) to 1 (ink).

    Raises:
        UserError: The file cannot be read, is no PNG, is damaged or shows nothing.
    """
    return _read_digit(path, str(path), invert)


def decode_digit(
    content: bytes, name: str, invert: str = "auto"
) -> npt.NDArray[np.float32]:
    """Read a digit as :func:`read_digit` does, from the bytes of a file.

    Args:
        content: The bytes.
        name: How messages call them.
        invert: As there.

    Raises:
        UserError: They are no PNG, are damaged or show nothing.
    """
    return _read_digit(io.BytesIO(content), name, invert)


def _read_digit(
    source: Path | io.BytesIO, name: str, invert: str
) -> npt.NDArray[np.float32]:
    try:
        with warnings.catch_warnings():
            # A picture that is suspiciously large is an error as well.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=["PNG"]) as image:
                grey = _grey(image)
    except FileNotFoundError:
        raise UserError(f"{name} does not exist") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(
            f"{name} is too large: more pixels than any digit needs"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"{name} is no PNG image, or is damaged") from None
    except (OSError, SyntaxError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise UserError(f"{name} cannot be read: {problem}") from None
    ink = _ink(grey, invert)
    if ink.max() < _BLANK:
        raise UserError(f"{name} is blank: it shows no digit")
    return fit_to_frame(ink)


def fit_to_frame(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Crop, scale and centre a digit like MNIST's.

    Args:
        ink: [height, width], from 0 (paper); the largest value, above 0, is full ink.

    Returns:
        [28, 28], 0 (paper) to 1 (ink).
    """
    ink = ink / ink.max()
    rows, columns = np.nonzero(ink > _FAINT)
    ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = _BOX / max(ink.shape)
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    resized = Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR)
    digit = np.asarray(resized, dtype=np.float32)
    # Downscaling thins lines out; full ink stays full ink.
    digit = np.clip(digit / digit.max(), 0, 1)
    frame = np.zeros((SIZE, SIZE), dtype=np.float32)
    top, left = (_offset(digit.sum(axis=other)) for other in (1, 0))
    frame[top : top + height, left : left + width] = digit
    return frame


def _offset(profile: npt.NDArray[np.float32]) -> int:
    """Tell where a digit begins in the frame for its centre of mass to be central."""
    positions = np.arange(len(profile)) + 0.5
    centre = float(np.average(positions, weights=profile))
    return int(np.clip(round(SIZE / 2 - centre), 0, SIZE - len(profile)))


def _grey(image: Image.Image) -> npt.NDArray[np.float32]:
    """Convert to brightness, 0 (black) to 1 (white)."""
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip to 8
        return np.asarray(image, dtype=np.float32) / np.float32(65535)
    if image.mode == "1" or not image.has_transparency_data:
        return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)
    layers = np.asarray(image.convert("LA"), dtype=np.float32) / np.float32(255)
    brightness, opacity = layers[..., 0], layers[..., 1]
    # What is transparent takes the colour on which the drawing can be seen.
    drawn = np.average(brightness, weights=opacity) if opacity.any() else 1.0
    paper = 0.0 if drawn > 0.5 else 1.0
    return np.asarray(brightness * opacity + paper * (1 - opacity), dtype=np.float32)


def _ink(grey: npt.NDArray[np.float32], invert: str) -> npt.NDArray[np.float32]:
    """Turn brightness into ink, whatever the colours of ink and paper."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = np.median(border)
    if invert == "auto":
        dark_ink = paper > (grey.min() + grey.max()) / 2
    else:
        dark_ink = invert == "yes"
    ink = paper - grey if dark_ink else grey - paper
    return np.asarray(np.clip(ink, 0, None), dtype=np.float32)
