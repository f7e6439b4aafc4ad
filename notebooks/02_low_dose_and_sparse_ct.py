# %% [markdown]
# # Low-dose and sparse-view CT
#
# A CT scanner counts the photons that pass a body along many rays, from many directions. Fewer photons or fewer views mean
# less dose, and worse images. This notebook lowers both, and brings back what can be brought back: by filtered
# backprojection, by total variation, by the statistics of photons, and by a trained network.
#
# It runs in about a minute. The body is a phantom whose rays are known in closed form. medrecon is a tool for research, **not
# for diagnosis**.

# %%
import torch
from figures import Row, draw, draw_windows

from medrecon import SinogramSample, lodopab, lodopab_grid, psnr, ssim
from medrecon.benchmark.lesion import Lesion
from medrecon.config import (
    CTTotalVariationSettings,
    FbpSettings,
    PoissonTotalVariationSettings,
    PrimalDualMethodSettings,
)
from medrecon.data.ct.attenuation import AttenuationUnit, attenuation_from_hounsfield, hounsfield_from_attenuation
from medrecon.data.ct.phantoms import abdomen_volume
from medrecon.data.ct.projections import phantom_image
from medrecon.data.ct.simulation import measured_sinogram
from medrecon.evaluation import image_range
from medrecon.problem import add_dose_noise, ct_problem, subsample_views
from medrecon.scans.learned_notes import ct_notes
from medrecon.workflows import build_ct_reconstructor

_ = torch.set_grad_enabled(False)  # nothing is trained here

# %% [markdown]
# ## A scan
#
# The rays are those of LoDoPaB-CT, a public set of low-dose scans: 1000 parallel views over half a turn, 513 bins, an image
# of 362 x 362 pixels. The phantom is an abdomen with some small lesions in the liver, scaled to the 260 mm that these rays
# cover.
#
# **To take your own scan**: `sample = open_sinograms(Path("scan.h5"))[0]`, with
# `from medrecon.data.formats import open_sinograms`. LoDoPaB's files and HDF5 or `.npy` sinograms with a geometry are read;
# `medrecon inspect scan.h5` says what is in a file and what is wrong with it.

# %%
HALF = 130.0  # mm: half the field of view, the phantom's unit of length
body = abdomen_volume().section(0.07)
geometry, grid = lodopab(), lodopab_grid()
full = SinogramSample(
    sinogram=measured_sinogram(body, geometry, HALF).float(),
    geometry=geometry,
    grid=grid,
    target=phantom_image(body, grid, HALF),
    unit=AttenuationUnit.PER_MM,
    photons=None,
    name="phantom",
    index=0,
)
print("sinogram (angle, detector):", tuple(full.sinogram.shape), f"  largest line integral {full.sinogram.max():.2f}")
print("geometry:", full.geometry)
print("grid:    ", full.grid)

# %% [markdown]
# ## Hounsfield units and windows
#
# The library computes attenuation in 1/mm. A CT image is read in Hounsfield units,
# `HU = 1000 (mu - mu_water) / (mu_water - mu_air)`: air is -1000, water 0. The range from air to bone is far wider than what
# an eye tells apart on a screen, so one looks through a *window*: its level is the middle gray, its width the range from
# black to white.

# %%
truth = hounsfield_from_attenuation(full.target)
BODY = (slice(62, 300), slice(18, 344))  # rows and columns that are drawn
draw_windows(
    truth[BODY],
    {
        "bone: level 400, width 2000": (-600, 1400),
        "soft tissue: level 40, width 400": (-160, 240),
        "liver: level 40, width 160": (-40, 120),
    },
    "HU",
)
SOFT = (-160, 240)

# %% [markdown]
# *Figure 1. The phantom in three windows. The lesions of the liver, 40 or 50 HU away from its 60 HU, are lost in the bone
# window and clear in that of the liver. All images below are in the window of soft tissue.*
#
# ## Dose
#
# Of `N0` photons that enter a ray, `N0 exp(-line integral)` leave it on average, and the detector counts more or fewer: the
# noise of a line integral has the variance `exp(line integral) / N0`. Rays through much bone are the noisiest. Halving the
# dose raises the noise by the square root of 2.


# %%
def photons(sample, count):
    """The sample as measured with so many photons a ray."""
    return add_dose_noise(sample, count, torch.Generator().manual_seed(0))


def reconstruct(settings, sample):
    """The image in Hounsfield units."""
    problem = ct_problem([sample])
    x = build_ct_reconstructor(settings, sample.photons)(problem.y, problem.A)
    return hounsfield_from_attenuation(x[0])


def disc(y, x, radius):
    """A disc of the phantom, given in its units, in pixels."""
    scale = HALF / grid.spacing[0]
    center = [round(place * scale + (n - 1) / 2) for place, n in zip((y, x), grid.shape, strict=True)]
    return Lesion((center[0], center[1]), radius * scale, edge=1.0, height=0.0)


liver = disc(0.0, -0.34, 0.055).profile(grid.shape) == 1
ramp = FbpSettings(window="ramp")
doses = {"no noise": full, **{f"{n:,} photons": photons(full, n) for n in (100_000, 20_000, 4_096)}}
by_dose = {name: reconstruct(ramp, sample) for name, sample in doses.items()}
draw(Row({f"{n}: liver +- {i[liver].std():.0f} HU": i[BODY] for n, i in by_dose.items()}, SOFT, "HU"))

# %% [markdown]
# *Figure 2. Filtered backprojection of 1000 views with fewer and fewer photons per ray. In the titles the standard deviation
# within a disc of the liver, where the phantom is even: it grows as one over the square root of the photons.*
#
# ## Views
#
# Fewer views leave the noise of each ray as it is and take information away: between the directions that were measured
# nothing is known, and backprojection draws streaks.

# %%
views = {f"{n} views": subsample_views(doses["100,000 photons"], n) for n in (1000, 200, 100, 50)}
draw(Row({name: reconstruct(ramp, sample)[BODY] for name, sample in views.items()}, SOFT, "HU"))

# %% [markdown]
# *Figure 3. Filtered backprojection of fewer and fewer views, each ray of 100,000 photons.*
#
# ## Four methods
#
# - **FBP** with a Hann window: smooths, at the price of sharpness.
# - **TV**: the image that explains the rays and has few edges, nowhere below zero.
# - **TV-Poisson**: the same, and it trusts each ray by the photons that pass it.
# - **Learned primal-dual**: small networks on the image and on the sinogram in turn, with the projector between them. Its
#   weights come with medrecon; they were trained on real chests and bodies of 1000 views and 4096 photons.
#
# First the case that the network was trained for.

# %%
methods = {
    "FBP, Hann": FbpSettings(window="hann"),
    "TV": CTTotalVariationSettings(),
    "TV-Poisson": PoissonTotalVariationSettings(),
    "primal-dual": PrimalDualMethodSettings(),
}


def compare(sample):
    """Draw all methods with their errors, and print their scores."""
    images = {name: reconstruct(settings, sample) for name, settings in methods.items()}
    draw(
        Row({"truth": truth[BODY], **{name: image[BODY] for name, image in images.items()}}, SOFT, "HU"),
        Row(
            {"": None, **{f"|{n} - truth|": (i - truth).abs()[BODY] for n, i in images.items()}},
            (0, 100),
            "HU",
            "magma",
        ),
    )
    print(f"{'lodopab':20} PSNR (dB)   SSIM   liver (HU)")
    for name, image in images.items():
        spread = image_range(truth)
        quality = f"{psnr(image, truth, data_range=spread):9.2f}  {ssim(image, truth, data_range=spread):.4f}"
        print(f"{name:20} {quality}  {image[liver].mean():4.0f} +- {image[liver].std():.0f}")
    return images


low_dose = compare(doses["4,096 photons"])

# %% [markdown]
# *Figure 4. 1000 views of 4096 photons. Above: the truth and four methods in one window; below their errors, in one window as
# well. Scores are by LoDoPaB's protocol: the range is the maximum less the minimum of the truth. The liver of the phantom has
# 60 HU.*
#
# Now few views. The network has never seen such a scan, and medrecon says so where it is used:

# %%
sparse = subsample_views(doses["20,000 photons"], 60)
for note in ct_notes(build_ct_reconstructor(methods["primal-dual"]), sparse):
    print("note:", note)
few_views = compare(sparse)

# %% [markdown]
# *Figure 5. 60 views of 20,000 photons, as in figure 4. What a network does outside its training is no measure of what it can
# do after training for it: `views: 60` in the YAML of the third notebook trains it for such scans.*
#
# ## What to trust
#
# **Does the image explain its rays?** `|(A x - y) / sigma| / sqrt(m)` over `m` rays, where `sigma` is the noise of each ray,
# is 1 for the true image.


# %%
def misfit(image, sample):
    """The residual of an image in HU over the noise that photons leave on each ray."""
    A = ct_problem([sample]).A
    variance = torch.exp(A(full.target)) / sample.photons
    return float(((A(attenuation_from_hounsfield(image)) - sample.sinogram).square() / variance).mean().sqrt())


print(f"{'':20} {'1000 views, 4,096':>18} {'60 views, 20,000':>18}")
for name in methods:
    print(f"{name:20} {misfit(low_dose[name], doses['4,096 photons']):18.2f} {misfit(few_views[name], sparse):18.2f}")
print(f"{'truth':20} {misfit(truth, doses['4,096 photons']):18.2f} {misfit(truth, sparse):18.2f}")

# %% [markdown]
# The truth is a little off 1, since pixels are no ellipses. A large figure warns. One near 1 proves nothing: what was not
# measured cannot contradict.
#
# **Would a small finding survive?** Two lesions of the liver, of 10 mm and 3.4 mm, both darker than their surroundings by 50
# HU: their contrast in per cent of the truth's.

# %%
lesions = {"10 mm": disc(-0.20, -0.44, 0.038), "3.4 mm": disc(-0.10, -0.28, 0.012)}
y, x = lesions["10 mm"].center
place = (slice(y - 30, y + 50), slice(x - 30, x + 60))
for scan, images in {"1000 views, 4,096 photons": low_dose, "60 views, 20,000 photons": few_views}.items():
    print(scan)
    for name, image in images.items():
        shares = [f"{size}: {100 * one.contrast(image) / one.contrast(truth):4.0f} %" for size, one in lesions.items()]
        print(f"  {name:20} {'   '.join(shares)}")
LIVER = (-40, 120)
draw(
    Row({"truth": truth[place], **{name: image[place] for name, image in low_dose.items()}}, LIVER, "HU"),
    Row({"": None, **{f"60 views, {name}": image[place] for name, image in few_views.items()}}, LIVER, "HU"),
)

# %% [markdown]
# *Figure 6. The liver in its own window: above 1000 views of 4096 photons, below 60 views of 20,000. Noise moves the contrast
# of a lesion of few pixels: more than 100 % is no gain. The dark spot that TV shows above the place of the small lesion is
# noise; the lesion itself is gone.*
#
# ## What to take along
#
# - Photons set the noise, views the artifacts; at one dose they can be traded.
# - FBP is linear: a lesion keeps its contrast, within the noise. Other methods clean what they believe to be noise, and the
#   smallest findings are the first to go.
# - Compare in one window and in HU: a method may look clean, and be off by 20 HU.
# - A network knows the scanner it was trained on. medrecon says when the scan is another one.
#
# On the command line:
#
# ```sh
# medrecon reconstruct scan.h5 --output image.h5 --method tv-poisson --views 60 --photons 20000 --hu \
#     --report scan.html --compare fbp
# ```
