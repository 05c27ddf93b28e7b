"""Footage that is made up: a moving scene, and a sensor with defects that films it.

The scene is made so that a healthy pixel is not simply like its neighbours: the ground
has edges and single bright dots, pans by fractions of a pixel and sways, and objects
move across it. The exposure changes. The sensor adds what sensors add: shot noise whose
variance grows with the light, read noise, and a fixed pattern (each pixel with a
slightly different gain and offset).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domains.video_quality.bad_pixels.defects import KINDS, Defect

Frame = npt.NDArray[np.float32]

_DARKEST, _LIGHTEST = 0.04, 0.95


@dataclass(frozen=True)
class Settings:
    """What to film.

    Attributes:
        width: In pixels.
        height: In pixels.
        frames: How many.
        defect_rate: Defects for each pixel.
        least_defects: A video has at least so many.
        speed: The fastest pan, in pixels a frame.
    """

    width: int
    height: int
    frames: int
    defect_rate: float
    least_defects: int
    speed: float


@dataclass(frozen=True)
class _Sway:
    """Where the camera looks: a steady pan, a slow sway and a tremor."""

    start: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]
    amplitude: npt.NDArray[np.float64]
    frequency: npt.NDArray[np.float64]
    tremor: npt.NDArray[np.float64]

    def at(self, frame: int) -> npt.NDArray[np.float64]:
        """Give the offset of the ground in a frame, (rows, columns) in pixels."""
        sway = self.amplitude * np.sin(self.frequency * frame)
        place: npt.NDArray[np.float64] = (
            self.start + self.velocity * frame + sway + self.tremor[frame]
        )
        return place


@dataclass(frozen=True)
class _Disc:
    """An object in front of the ground."""

    start: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]
    level: float
    stripes: npt.NDArray[np.float64]


def plan_defects(settings: Settings, rng: np.random.Generator) -> list[Defect]:
    """Choose which pixels are defective, and how.

    Args:
        settings: Size of the frames and number of defects.
        rng: Where the choice comes from.

    Returns:
        Defects at different pixels, in the order of rows and columns.
    """
    pixels = settings.height * settings.width
    count = max(settings.least_defects, rng.binomial(pixels, settings.defect_rate))
    places = rng.choice(pixels, size=min(count, pixels), replace=False)
    kinds = rng.integers(len(KINDS), size=len(places))
    return sorted(
        Defect(int(place) // settings.width, int(place) % settings.width, KINDS[kind])
        for place, kind in zip(places, kinds, strict=True)
    )


def film(
    settings: Settings, defects: list[Defect], rng: np.random.Generator
) -> Iterator[Frame]:
    """Film a scene of its own with a defective sensor.

    Args:
        settings: What to film.
        defects: The sensor's defects.
        rng: Where everything else comes from.

    Yields:
        Frames, [height, width], 0 (black) to 1 (white), as the sensor reads them.
    """
    shape = settings.height, settings.width
    ground = _ground((2 * settings.height, 2 * settings.width), rng)
    sway = _sway(settings, rng)
    discs = [_disc(settings, rng) for _ in range(rng.integers(2, 5))]
    gains = _exposures(settings.frames, rng)
    shot_noise, read_noise = rng.uniform(0.01, 0.03), rng.uniform(0.002, 0.006)
    pixel_gains = 1 + 0.01 * rng.standard_normal(shape)
    pixel_offsets = 0.003 * rng.standard_normal(shape)
    values = [_wrong_values(defect, settings.frames, rng) for defect in defects]
    for number in range(settings.frames):
        light = _shifted(ground, sway.at(number), shape)
        for disc in discs:
            _draw(light, disc, number)
        light = np.clip(light * gains[number] * pixel_gains, 0, 1)
        deviation = np.sqrt(shot_noise**2 * light + read_noise**2)
        frame = light + pixel_offsets + deviation * rng.standard_normal(shape)
        for defect, wrong in zip(defects, values, strict=True):
            if not np.isnan(wrong[number]):
                noise = read_noise * rng.standard_normal()
                frame[defect.row, defect.column] = wrong[number] + noise
        yield np.clip(frame, 0, 1).astype(np.float32)


def _ground(shape: tuple[int, int], rng: np.random.Generator) -> Frame:
    """Paint a texture without a border: what leaves on one side enters on the other."""
    height, width = shape
    # Natural images have spectra that fall off with the frequency.
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) / frequency**1.3
    spectrum[0, 0] = 0
    texture = np.fft.irfft2(spectrum, s=shape)
    ground = rng.uniform(0.3, 0.6) + rng.uniform(0.08, 0.16) * texture / texture.std()
    rows, columns = np.mgrid[:height, :width]
    for _ in range(rng.integers(15, 30)):
        # Rectangles, some of them with stripes, turned by any angle.
        angle = rng.uniform(0, np.pi)
        centre = rng.uniform(0, shape)
        down = (rows - centre[0] + height / 2) % height - height / 2
        across = (columns - centre[1] + width / 2) % width - width / 2
        along = down * np.cos(angle) + across * np.sin(angle)
        beside = across * np.cos(angle) - down * np.sin(angle)
        half = rng.uniform(0.02, 0.16, 2) * min(shape)
        inside = (np.abs(along) < half[0]) & (np.abs(beside) < half[1])
        level = rng.uniform(_DARKEST, _LIGHTEST)
        ground[inside] = level
        if rng.random() < 0.4:
            period = rng.uniform(3, 12)
            inside &= along % period < period / 2
            ground[inside] = rng.uniform(_DARKEST, _LIGHTEST)
    # Lamps, stars, screws: as small as a defect, but of the scene.
    dots = rng.random(shape) < 0.0015
    ground[dots] = rng.choice([_DARKEST, _LIGHTEST], size=int(dots.sum()))
    return np.clip(_blurred(ground), _DARKEST, _LIGHTEST).astype(np.float32)


def _blurred(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Spread each point a little, as a good lens does."""
    for axis in (0, 1):
        beside = np.roll(image, 1, axis) + np.roll(image, -1, axis)
        image = 0.76 * image + 0.12 * beside
    return image


def _sway(settings: Settings, rng: np.random.Generator) -> _Sway:
    angle, speed = rng.uniform(0, 2 * np.pi), settings.speed * rng.uniform() ** 2
    return _Sway(
        start=rng.uniform(0, (settings.height, settings.width)),
        velocity=speed * np.array([np.sin(angle), np.cos(angle)]),
        amplitude=rng.uniform(0, 3, 2),
        frequency=rng.uniform(0.02, 0.2, 2),
        tremor=0.15 * rng.standard_normal((settings.frames, 2)),
    )


def _disc(settings: Settings, rng: np.random.Generator) -> _Disc:
    size = min(settings.height, settings.width)
    return _Disc(
        start=rng.uniform(0, (settings.height, settings.width)),
        velocity=rng.uniform(-settings.speed, settings.speed, 2),
        radii=rng.uniform(0.05, 0.2, 2) * size,
        level=rng.uniform(_DARKEST + 0.1, _LIGHTEST - 0.1),
        stripes=rng.uniform(-1, 1, 2),
    )


def _exposures(frames: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Make gains that drift, and jump once or twice, as an automatic exposure does."""
    times = np.arange(frames)
    period, phase = rng.uniform(30, 200), rng.uniform(0, 2 * np.pi)
    stops = rng.uniform(0, 0.4) * np.sin(2 * np.pi * times / period + phase)
    for _ in range(rng.integers(0, 3)):
        stops += np.where(times >= rng.integers(frames), rng.uniform(-0.4, 0.4), 0)
    gains: npt.NDArray[np.float64] = np.exp2(stops)
    return gains


def _wrong_values(
    defect: Defect, frames: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Give what a defective pixel reads in each frame; NaN where it reads the light."""
    if defect.kind == "dead":
        return np.full(frames, rng.uniform(0, 0.02))
    if defect.kind == "stuck":
        return np.full(frames, rng.uniform(0.35, 1))
    dark = rng.random() < 0.5
    wrong = rng.uniform(0, 0.1) if dark else rng.uniform(0.7, 1)
    # A chain of two states, wrong for a given share of the time and a few frames each.
    share, stay = rng.uniform(0.1, 0.5), rng.uniform(1, 5)
    leave = 1 / stay
    enter = leave * share / (1 - share)
    draws = rng.random(frames)
    is_wrong = np.empty(frames, dtype=bool)
    state = bool(draws[0] < share)
    for number, draw in enumerate(draws):
        if number:
            state = draw >= leave if state else draw < enter
        is_wrong[number] = state
    # One that never shows in the footage would be no defect of it.
    is_wrong[rng.choice(frames, size=min(3, frames), replace=False)] = True
    return np.where(is_wrong, wrong, np.nan)


def _shifted(
    ground: Frame, place: npt.NDArray[np.float64], shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Cut a frame out of the ground, between its pixels (bilinear)."""
    whole = np.floor(place).astype(int)
    down, across = place - whole
    rows = np.arange(whole[0], whole[0] + shape[0] + 1) % ground.shape[0]
    columns = np.arange(whole[1], whole[1] + shape[1] + 1) % ground.shape[1]
    cut = ground[np.ix_(rows, columns)].astype(np.float64)
    cut = (1 - down) * cut[:-1] + down * cut[1:]
    result: npt.NDArray[np.float64] = (1 - across) * cut[:, :-1] + across * cut[:, 1:]
    return result


def _draw(light: npt.NDArray[np.float64], disc: _Disc, frame: int) -> None:
    """Put an object into a frame, with edges one pixel wide."""
    height, width = light.shape
    # It comes back on the other side after it has left.
    margins = 2 * disc.radii
    room = np.array([height, width]) + 2 * margins
    centre = (disc.start + disc.velocity * frame + margins) % room - margins
    down = np.arange(height)[:, None] - centre[0]
    across = np.arange(width)[None, :] - centre[1]
    distance = np.hypot(down / disc.radii[0], across / disc.radii[1])
    cover = np.clip((1 - distance) * disc.radii.min() + 0.5, 0, 1)
    stripes = np.sin(disc.stripes[0] * down + disc.stripes[1] * across)
    light += cover * (disc.level + 0.1 * stripes - light)
