"""Phantoms of CT in 1/mm and millimeters: the Shepp-Logan head with the values of water and bone, and an abdomen."""

from dataclasses import replace

from medrecon.data.ct.attenuation import MU_WATER, attenuation_from_hounsfield
from medrecon.data.phantoms.ellipses import Ellipsoid, Phantom
from medrecon.data.phantoms.mri_phantoms import shepp_logan_volume

__all__ = ["ABDOMEN_FIELD", "HEAD_FIELD", "abdomen_volume", "head_volume"]

#: Fields of view in millimeters that the phantoms are made for.
HEAD_FIELD, ABDOMEN_FIELD = 260.0, 400.0

_SKULL = 2.0 * MU_WATER

# Hounsfield units, of what is inside: (HU of the surroundings, own HU, center (z, y, x), semi-axes (z, y, x), angle).
# Lengths in halves of the field of view: 0.1 are 20 mm.
ABDOMEN = (
    (-1000, -100, (0.0, 0.0, 0.0), (1.6, 0.62, 0.86), 0.0),  # skin and fat
    (-100, 40, (0.0, 0.0, 0.0), (1.5, 0.54, 0.78), 0.0),  # muscle
    (40, -90, (0.0, -0.04, 0.0), (1.4, 0.44, 0.68), 0.0),  # fat between the organs
    (-90, 60, (0.1, -0.06, -0.36), (0.9, 0.34, 0.28), 0.15),  # liver
    (-90, 50, (0.1, 0.02, 0.50), (0.5, 0.20, 0.10), 0.2),  # spleen
    (-90, 35, (0.0, 0.31, -0.22), (0.5, 0.07, 0.055), -0.35),  # kidneys
    (-90, 35, (0.0, 0.24, 0.27), (0.5, 0.09, 0.065), 0.35),
    (-90, 20, (0.2, -0.22, 0.22), (0.5, 0.15, 0.22), -0.2),  # stomach
    (20, -990, (0.2, -0.29, 0.22), (0.3, 0.05, 0.12), 0.0),  # the gas in it
    (-90, 45, (0.0, 0.08, 0.04), (1.5, 0.055, 0.055), 0.0),  # aorta
    (-90, 40, (0.0, 0.06, -0.10), (1.5, 0.045, 0.060), 0.0),  # vena cava
    (-90, 350, (0.0, 0.26, 0.0), (1.5, 0.125, 0.155), 0.0),  # vertebra
    (350, 180, (0.0, 0.255, 0.0), (1.5, 0.100, 0.130), 0.0),  # its spongy inside
    (40, 700, (0.0, 0.44, 0.0), (1.5, 0.060, 0.022), 0.0),  # spinous process
    (40, 900, (0.0, 0.14, -0.73), (0.8, 0.075, 0.022), 0.25),  # ribs
    (40, 900, (0.0, 0.14, 0.73), (0.8, 0.075, 0.022), -0.25),
    (40, 900, (0.0, -0.26, -0.665), (0.8, 0.065, 0.020), -0.5),
    (40, 900, (0.0, -0.26, 0.665), (0.8, 0.065, 0.020), 0.5),
    (60, 10, (0.10, -0.20, -0.44), (0.10, 0.040, 0.040), 0.0),  # lesions of the liver, ever smaller
    (60, 20, (0.05, -0.02, -0.48), (0.08, 0.028, 0.028), 0.0),
    (60, 100, (0.10, 0.08, -0.34), (0.06, 0.020, 0.020), 0.0),
    (60, 10, (0.05, -0.10, -0.28), (0.05, 0.013, 0.013), 0.0),
    (35, 600, (0.00, 0.25, 0.27), (0.03, 0.010, 0.010), 0.0),  # a stone of the kidney
)


def head_volume() -> Phantom:
    """The Shepp-Logan phantom as a CT of a head: brain of water, bone twice as dense, and in the brain 100 HU of contrast.

    Intensities in 1/mm, lengths in halves of `HEAD_FIELD`.
    """
    head = [shape for shape in shepp_logan_volume().shapes if isinstance(shape, Ellipsoid)]
    values = [_SKULL, MU_WATER - _SKULL, *(MU_WATER * shape.intensity for shape in head[2:])]
    return Phantom(tuple(replace(shape, intensity=value) for shape, value in zip(head, values, strict=True)))


def abdomen_volume() -> Phantom:
    """A body of fat, muscle, organs, bones and gas, in the liver some small lesions; seen from the feet, the back below.

    Intensities in 1/mm, lengths in halves of `ABDOMEN_FIELD`.
    """
    per_unit = attenuation_from_hounsfield(1.0) - attenuation_from_hounsfield(0.0)
    first, *inside = (
        Ellipsoid((own - around) * per_unit, center, semi_axes, angle)
        for around, own, center, semi_axes, angle in ABDOMEN
    )
    skin = replace(first, intensity=attenuation_from_hounsfield(float(ABDOMEN[0][1])))
    return Phantom((skin, *inside))
