"""Heads made of ellipses and ellipsoids: the modified Shepp-Logan phantom, and one that looks like a T2-weighted brain.

Axial, anterior at the top of the picture (small y), lengths in units of half the field of view.
"""

import math

from medrecon.data.phantoms.ellipses import Ellipse, Ellipsoid, Phantom

__all__ = ["brain", "brain_volume", "shepp_logan", "shepp_logan_volume"]

# Intensity, semi-axes x y, center x y (y upwards), degrees counter-clockwise. [Toft, The Radon Transform, 1996]
SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)
# Semi-axis and center along z of the same ten as ellipsoids. [Schabel, phantom3d, 2006]
SHEPP_LOGAN_HEIGHTS = (
    (0.81, 0.0),
    (0.78, 0.0),
    (0.22, 0.0),
    (0.28, 0.0),
    (0.41, -0.15),
    (0.05, 0.25),
    (0.05, 0.25),
    (0.05, 0.0),
    (0.02, 0.0),
    (0.02, 0.0),
)

# The layers of the head and what lies in them: intensity added, center (z, y, x), semi-axes (z, y, x), angle.
HEAD = (
    (0.50, (0.0, 0.0, 0.0), (0.85, 0.90, 0.72), 0.0),  # scalp: .5
    (-0.44, (0.0, 0.0, 0.0), (0.81, 0.86, 0.68), 0.0),  # skull: .06
    (0.94, (0.0, 0.0, 0.0), (0.77, 0.82, 0.64), 0.0),  # cerebrospinal fluid: 1
    (-0.40, (0.0, 0.0, 0.0), (0.74, 0.79, 0.61), 0.0),  # gray matter: .6
    (-0.18, (0.06, 0.0, 0.28), (0.60, 0.65, 0.25), 0.0),  # white matter: .42
    (-0.18, (0.06, 0.0, -0.28), (0.60, 0.65, 0.25), 0.0),
    (0.40, (0.0, -0.58, 0.0), (0.50, 0.19, 0.012), 0.0),  # fissure between the hemispheres: 1
    (0.40, (0.0, 0.60, 0.0), (0.50, 0.17, 0.012), 0.0),
    (0.40, (-0.05, 0.05, 0.0), (0.15, 0.10, 0.014), 0.0),  # third ventricle: 1
    (0.58, (0.05, -0.04, 0.13), (0.20, 0.27, 0.045), -0.15),  # lateral ventricles: 1
    (0.58, (0.05, -0.04, -0.13), (0.20, 0.27, 0.045), 0.15),
    (0.16, (-0.02, 0.06, 0.29), (0.18, 0.16, 0.07), -0.25),  # deep gray matter: .58
    (0.16, (-0.02, 0.06, -0.29), (0.18, 0.16, 0.07), 0.25),
)
LESIONS = (
    (0.35, (0.0, -0.36, 0.30), (0.05, 0.035, 0.030), 0.0),
    (0.30, (0.02, 0.33, -0.32), (0.06, 0.050, 0.025), 0.6),
    (0.35, (0.0, 0.42, 0.26), (0.03, 0.015, 0.015), 0.0),
    (0.25, (0.0, -0.25, -0.40), (0.03, 0.012, 0.012), 0.0),
    (-0.30, (0.0, 0.18, 0.44), (0.04, 0.020, 0.020), 0.0),
    (0.35, (0.22, -0.20, 0.32), (0.07, 0.040, 0.025), 0.4),
    (0.30, (-0.20, 0.25, 0.30), (0.07, 0.030, 0.030), 0.0),
    (0.35, (0.38, 0.12, -0.28), (0.08, 0.020, 0.040), 0.3),
    (0.30, (-0.36, -0.10, -0.28), (0.08, 0.035, 0.025), 0.0),
)
N_SULCI = 18


def shepp_logan() -> Phantom:
    """Give the modified Shepp-Logan phantom in 2-D, intensities 0 to 1 by Toft: brighter inside than the original."""
    return Phantom(
        tuple(
            Ellipse(intensity, (-y, x), (b, a), -math.radians(degrees))
            for intensity, a, b, x, y, degrees in SHEPP_LOGAN
        )
    )


def shepp_logan_volume() -> Phantom:
    """Give the modified Shepp-Logan phantom in 3-D; at height 0 it lacks two of the ten ellipses of the 2-D one."""
    return Phantom(
        tuple(
            Ellipsoid(intensity, (z, -y, x), (c, b, a), -math.radians(degrees))
            for (intensity, a, b, x, y, degrees), (c, z) in zip(SHEPP_LOGAN, SHEPP_LOGAN_HEIGHTS, strict=True)
        )
    )


def brain() -> Phantom:
    """Give the middle section of `brain_volume`."""
    return Phantom(tuple(cut for shape in _brain_ellipsoids() if (cut := shape.section(0.0)) is not None))


def brain_volume() -> Phantom:
    """Give a brain-like head in 3-D: scalp, skull, fluid, gray and white matter, ventricles, sulci, lesions.

    Intensities are like those of a T2-weighted scan: fluid 1, gray matter .6, white matter .42, scalp .5, skull .06.
    """
    return Phantom(_brain_ellipsoids())


def _brain_ellipsoids() -> tuple[Ellipsoid, ...]:
    return (*(Ellipsoid(*row) for row in HEAD + LESIONS), *_sulci())


def _sulci() -> list[Ellipsoid]:
    """Thin sheets of fluid that reach from the surface into the cortex, of lengths that repeat every third."""
    sulci = []
    for i in range(N_SULCI):
        turn = 2 * math.pi * (i + 0.5) / N_SULCI
        length = (0.045, 0.03, 0.055)[i % 3]
        depth = 0.985 - length / 0.7
        y, x = -0.79 * depth * math.cos(turn), 0.61 * depth * math.sin(turn)
        # The normal of the surface at this place; the sheet's long axis, along y before the turn, lies along it.
        normal_y, normal_x = y / 0.79**2, x / 0.61**2
        sulci.append(Ellipsoid(0.4, (0.0, y, x), (0.15, length, 0.008), -math.atan2(normal_x, normal_y)))
    return sulci
