# %% [markdown]
# # From raw k-space to an image
#
# An MRI scanner does not measure an image. It measures k-space, the image's Fourier transform, once for each receive coil.
# This notebook goes from such a measurement to an image, by four methods, and then asks which parts of these images to trust.
#
# It takes a few minutes to read and about one to run. The scan is simulated, so that nothing is downloaded and the truth is
# known. medrecon is a tool for research, **not for diagnosis**.

# %%
from dataclasses import replace
from pathlib import Path

import torch
from figures import Row, draw
from program import medrecon

from medrecon import (
    FastMRIFile,
    Sense,
    WaveletSparsity,
    ZeroFilled,
    equispaced_fraction_mask,
    full_reconstruction,
    load,
    psnr,
    remove_oversampling,
    sense_problem,
    ssim,
    undersample,
)
from medrecon.benchmark.lesion import lesion_in_kspace, place_lesion
from medrecon.calibration import noise_level
from medrecon.operators import CoilMaps, Fourier, factor_of

Path("work").mkdir(exist_ok=True)
_ = torch.set_grad_enabled(False)  # nothing is trained here

# %% [markdown]
# ## A scan
#
# `medrecon(...)` is the command line: the next cell does what `medrecon simulate work/scan.h5 --size 192 ...` does in a
# terminal. The file has the format of fastMRI. **To take your own scan, leave the next cell out and put its path into
# `path`**; it should be fully sampled, since we undersample it below and compare with the whole.

# %%
path = Path("work/scan.h5")
medrecon(f"simulate {path} --size 192 --coils 12 --snr 50 --overwrite")

# %% [markdown]
# What lies in it? `inspect` reads every slice, and names what is wrong with a file: dead coils, spikes, missing lines.

# %%
medrecon(f"inspect {path}")

# %% [markdown]
# A slice is a complex array `(coil, ky, kx)`. The readout `ky` was measured twice as densely as needed, as scanners do; only
# the middle of the image is kept.
#
# We put a small bright lesion into the object before it is "measured", 5 pixels wide and half as bright again as its
# surroundings. Later we look for it.

# %%
file = FastMRIFile(path)
middle = file[len(file) // 2]
print("k-space (coil, ky, kx):", tuple(middle.kspace.shape), middle.kspace.dtype)

generator = torch.Generator().manual_seed(3)
lesion = place_lesion(full_reconstruction(middle), diameter=5, edge=1, contrast=0.5, generator=generator)
scan = remove_oversampling(lesion_in_kspace(middle, lesion))
target = full_reconstruction(scan)
white = float(target.quantile(0.998))
print("without oversampling:  ", tuple(scan.kspace.shape), "  lesion at (y, x) =", lesion.center)

# %%
whole = sense_problem(scan)
coil_images = (factor_of(whole.A, Fourier, "this cell").H)(scan.kspace).abs()
draw(
    Row(
        {f"k-space, coil {c}": (scan.kspace[c].abs() + 1e-9).log10() for c in (0, 3, 6, 9)},
        (-2.5, 1),
        "log10 of magnitude",
    ),
    Row({f"image, coil {c}": coil_images[c] for c in (0, 3, 6, 9)}, (0, white / 2), "intensity, as stored"),
)

# %% [markdown]
# *Figure 1. Above: what four of the twelve coils measured. The middle of k-space holds the coarse structure, the outside the
# detail, and far out there is only noise. Below: the image that each coil sees alone, all in one window: bright near the
# coil, dark far from it.*
#
# ## Its sampling
#
# The time of a scan grows with the number of its lines. So we keep a quarter of them: all in the middle, from which coil maps
# are estimated, and outside one in so many, evenly spaced. The mask is the one of the fastMRI brain challenge.

# %%
mask = equispaced_fraction_mask(scan.kspace.shape[-1], acceleration=4, center_fraction=0.08, seed=0)
sample = undersample(scan, mask)
problem = sense_problem(sample)
print(
    f"{int(mask.sampled.sum())} of {len(mask.sampled)} lines: acceleration {sample.true_acceleration:.2f}, {mask.kind}"
)
print("coil maps:", problem.maps_origin)
print("the operator of the scan:", problem.A)

# %%
maps = factor_of(problem.A, CoilMaps, "this cell").maps
draw(
    Row(
        {
            "sampled lines (white)": mask.sampled.float().expand(scan.kspace.shape[-2], -1),
            "|coil map| 0": maps[0].abs(),
            "|coil map| 3": maps[3].abs(),
            "|coil map| 6": maps[6].abs(),
        },
        (0, 1),
        "share of 1",
    )
)

# %% [markdown]
# *Figure 2. Left: the lines that were kept; ky runs down, kx to the right. The others: how strongly three of the coils see
# each place, estimated from the lines in the middle. Outside the head there is nothing to estimate them from; what they show
# there means nothing.*
#
# Together they are the operator `A` of this scan: multiply the image by the coil maps, take the Fourier transform, keep the
# sampled lines. What was measured is `y = A x + noise`. Every method below is a function `x = reconstruct(y, A)`.
#
# ## Four images
#
# - **Zero-filled**: what was not measured is taken for zero. The missing lines fold the image onto itself.
# - **SENSE**: the image that agrees with the measurement in the sense of least squares. Coils tell folded places apart; noise
#   grows where they cannot.
# - **Wavelet**: of the images that agree with the measurement, one that few wavelets can describe (compressed sensing).
# - **VarNet**: a network that steps towards the measurement and cleans the image in turn. Its weights come with medrecon;
#   they were trained on real heads, not on this phantom.

# %%
methods = {
    "zero-filled": ZeroFilled(),
    "SENSE": Sense(),
    "wavelet": WaveletSparsity(),
    "VarNet": load("varnet_brain_small"),
}


def reconstruct_all(sample):
    """The magnitude image of each method."""
    problem = sense_problem(sample)
    return {name: problem.display_image(method(problem.y, problem.A)) for name, method in methods.items()}


images = reconstruct_all(sample)
peak = float(target.max())
print(f"{'fastmri-v1':12} PSNR (dB)   SSIM")
for name, image in images.items():
    print(f"{name:12} {psnr(image, target, data_range=peak):9.2f}  {ssim(image, target, data_range=peak):.4f}")

# %%
errors = {name: (image - target).abs() for name, image in images.items()}
draw(
    Row({"target": target, **images}, (0, white), "intensity, as stored"),
    Row(
        {"": None, **{f"|{name} - target|": error for name, error in errors.items()}},
        (0, white / 8),
        "intensity",
        "magma",
    ),
)

# %% [markdown]
# *Figure 3. Above: the target, made of all lines, and the four methods, all in one window. Below: their errors, eight times
# brighter than the images, in one window as well. The scores above are by fastMRI's protocol: the range is the maximum of the
# target.*
#
# ## What to trust
#
# With a patient there is no target. Three things can still be looked at.
#
# **1. Does the image agree with the measurement?** The residual `y - A x` of the true image is noise alone. So the residual
# over the noise, `|A x - y| / (sigma sqrt(m))` for `m` measurements, should not be far from 1. Far above 1 the image
# contradicts the data. Somewhat below 1 it has explained part of the noise as well, which every image does that was fitted to
# the data. VarNet ends by putting the measured samples back; we look at its image before that.

# %%
sigma = float(noise_level(middle.kspace, middle.sampled))  # from the outermost samples of k-space
varnet = methods["VarNet"]
reconstructors = methods | {"VarNet": replace(varnet, network=varnet.network.reconstruct)}

y, A = problem.y, problem.A
m = y.numel() / sample.true_acceleration
to_coil_images = factor_of(A, Fourier, "this cell").H
residuals = {}
for name, reconstruct in reconstructors.items():
    r = y - A(reconstruct(y, A))
    power = to_coil_images(r).abs().square().mean(dim=0)  # of noise alone: sigma^2 / acceleration
    residuals[f"{name}: {float(r.norm()) / (sigma * m**0.5):.2f}"] = (power * sample.true_acceleration).sqrt() / sigma
draw(Row(residuals, (0, 3), "noise levels", "magma"))

# %% [markdown]
# *Figure 4. What each image leaves unexplained: the root mean square over the coil images of the residual, in units of the
# noise; in the titles the residual over the noise of the whole measurement. An even speckle is noise. Edges and shapes are
# parts of the head that the image lacks, or has and should not have.*
#
# An image may fit all that was measured and still be wrong: the lines that were not measured cannot contradict it. Hence the
# second question.
#
# **2. Where do methods disagree?** They fill in the missing lines by different beliefs. Where all agree, the data decide;
# where they do not, the belief does.

# %%
several = torch.stack([images[name] for name in ("SENSE", "wavelet", "VarNet")])
draw(
    Row(
        {
            "disagreement (std of three methods)": several.std(dim=0),
            "their mean error, known here alone": (several - target).abs().mean(dim=0),
        },
        (0, white / 12),
        "intensity",
        "magma",
    ),
    width=8,
)

# %% [markdown]
# *Figure 5. Left: the standard deviation over SENSE, wavelet and VarNet, which needs no target. Right: their mean error,
# which does. Disagreement marks many of the places of error. It cannot show an error that all share.*
#
# **3. Would a small finding survive?** We know where the lesion lies. Contrast is the mean inside less that of a ring around
# it, in per cent of the target's; noise moves it by some per cent. At twice the acceleration the question is harder.

# %%
eightfold = equispaced_fraction_mask(scan.kspace.shape[-1], acceleration=8, center_fraction=0.04, seed=0)
images_8 = reconstruct_all(undersample(scan, eightfold))


def around(image, reach=24):
    """The place of the lesion."""
    y, x = lesion.center
    return image[y - reach : y + reach, x - reach : x + reach]


def kept(image):
    """Contrast in per cent of that of the target."""
    return f"{100 * lesion.contrast(image) / lesion.contrast(target):.0f} %"


white_here = 1.05 * float(around(target).max())
draw(
    Row(
        {"target": around(target), **{f"4x {n}: {kept(i)}": around(i) for n, i in images.items()}},
        (0, white_here),
        "intensity",
    ),
    Row({"": None, **{f"8x {n}: {kept(i)}": around(i) for n, i in images_8.items()}}, (0, white_here), "intensity"),
)

# %% [markdown]
# *Figure 6. The place of the lesion, 48 x 48 pixels, in one window: above at 4x, below at 8x; in the titles the contrast that
# was kept. A lesion that fades, or a spot that the target lacks, matters more than a decibel.*
#
# ## What to take along
#
# - Look at the residual: an image that contradicts its measurement is wrong, however sharp.
# - Compare methods of different kinds, and distrust what one of them shows alone.
# - Scores are means over all pixels. Whether a finding survives must be asked of the finding.
# - A network is at its best on scans like those that it was trained on; `medrecon weights show varnet_brain_small` says which
#   these were.
#
# On the command line, with your own file and one page to look through in the browser:
#
# ```sh
# medrecon reconstruct scan.h5 --output image.h5 --method varnet --mask equispaced-fraction --acceleration 4 \
#     --report scan.html --compare sense --compare wavelet
# ```
