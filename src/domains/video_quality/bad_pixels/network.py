"""The network: a pixel's class from the maps of a small neighbourhood.

It has no padding, so that the same weights give one answer for a patch, which is what
it is trained on, and an answer for each pixel of a whole frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from domains.video_quality.bad_pixels.defects import CLASSES
from domains.video_quality.bad_pixels.temporal import CHANNELS, LEVELS, Maps

# How far the network sees from a pixel, in each direction.
REACH = 2
SIDE = 2 * REACH + 1
_WIDTH = 32
# Whole frames are taken in bands of about so many pixels: 128 MB a layer.
_PIXELS_AT_ONCE = 2**20


class DefectNetwork(nn.Module):
    """Two convolutions of 3 x 3, then two layers for each pixel alone."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(len(CHANNELS), _WIDTH, 3),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, len(CLASSES), 1),
        )
        self.register_buffer("mean", torch.zeros(len(CHANNELS), 1, 1))
        self.register_buffer("scale", torch.ones(len(CHANNELS), 1, 1))

    def standardise_like(self, patches: Tensor) -> None:
        """Take over each channel's mean and deviation.

        Args:
            patches: [samples, channels, SIDE, SIDE].
        """
        self.mean = patches.mean(dim=(0, 2, 3))[:, None, None]
        self.scale = patches.std(dim=(0, 2, 3))[:, None, None].clamp(min=1e-3)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches [samples, channels, SIDE, SIDE] to logits [samples, CLASSES]."""
        return self.at_each_pixel(patches).flatten(1)

    def at_each_pixel(self, inputs: Tensor) -> Tensor:
        """Map [samples, channels, h, w] to logits, REACH fewer pixels on each side."""
        logits: Tensor = self.layers((inputs - self.mean) / self.scale)
        return logits


def to_inputs(maps: Maps, noise: float) -> Maps:
    """Bring maps of any exposure and noise to the same scale.

    Levels become multiples of the noise; beyond it they grow by their logarithm only
    (asinh), as it matters little whether a residual is 50 or 60 times the noise.

    Args:
        maps: [channels, height, width], as temporal.temporal_maps makes them.
        noise: Of the same clip, as a share of white.

    Returns:
        [channels, height + 2 REACH, width + 2 REACH]: what lies beyond a border mirrors
        what lies inside.
    """
    inputs = maps.copy()
    inputs[: len(LEVELS)] = np.arcsinh(inputs[: len(LEVELS)] / np.float32(noise))
    beside = (REACH, REACH)
    return np.pad(inputs, ((0, 0), beside, beside), mode="reflect")


def probabilities(
    network: DefectNetwork, inputs: Maps, device: torch.device
) -> npt.NDArray[np.float32]:
    """Classify each pixel of a frame.

    Args:
        network: It is moved to the device.
        inputs: As :func:`to_inputs` makes them.
        device: Where to compute.

    Returns:
        [CLASSES, height, width]; the classes of a pixel sum to 1.
    """
    network.to(device).eval()
    height, width = inputs.shape[1] - 2 * REACH, inputs.shape[2] - 2 * REACH
    rows = max(1, _PIXELS_AT_ONCE // width)
    bands = []
    with torch.inference_mode():
        for first in range(0, height, rows):
            last = min(first + rows, height) + 2 * REACH
            band = torch.from_numpy(inputs[None, :, first:last]).to(device)
            logits = network.at_each_pixel(band)[0]
            bands.append(logits.double().softmax(dim=0).float().cpu().numpy())
    return np.concatenate(bands, axis=1)
