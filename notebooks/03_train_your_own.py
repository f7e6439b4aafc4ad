# %% [markdown]
# # Train your own network
#
# A small variational network, from a YAML file to a result beside the classical methods: what is going to be done, a training
# that is cut off and goes on, the card of the weights, and a comparison that can be repeated. It trains for about a minute on
# a processor, on random phantoms that need no data.
#
# What works here works for real data: `configs/` holds the files for the sets `brain-small` and `lodopab-small`, and for
# fastMRI and LoDoPaB.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from figures import Row, draw
from program import medrecon

from medrecon.benchmark import load_benchmark
from medrecon.benchmark.inputs import open_inputs
from medrecon.benchmark.methods import build
from medrecon.benchmark.sources import source_images
from medrecon.training.logs import read_table

Path("work").mkdir(exist_ok=True)

# %% [markdown]
# ## What is to be trained
#
# One file says it all: the data, the network, the loss, how long. A key that does not exist is refused, and so is a
# combination that makes no sense.
#
# `varnet` alternates a step towards the measurement with a small U-Net. `consistency: proximal` makes that step by conjugate
# gradients; with `identity: true` the U-Nets start at zero, so that the untrained network is SENSE and training can only
# leave it for something better.

# %%
config = """
name: varnet_tiny
data:
  kind: phantom-mri            # random phantoms, measured anew in each epoch
  train: 48
  validation: 8
  size: [64, 64]
  coils: 6
  snr: 30
  masks:
    - {kind: equispaced-fraction, acceleration: 4}
network: {kind: varnet, cascades: 3, features: 8, pools: 2, consistency: proximal, identity: true}
loss:
  - {kind: l1}
optimizer: {kind: adam, rate: 0.002}
schedule: {kind: cosine, warmup: 0.2, floor: 0.01}
training: {epochs: 8, batch_size: 2, clip: 1.0}
"""
_ = Path("work/varnet_tiny.yaml").write_text(config)

# %% [markdown]
# ## The plan, and a training that is cut off
#
# `train` first counts and measures what it is going to do: parameters, samples, steps, memory and time (left out here, since
# it differs from machine to machine). A fault of the data or too little memory shows here, not in the night. We stop after
# 100 steps, as a power cut or the end of a job would.

# %%
run = Path("work/varnet_tiny")
for old in sorted(run.rglob("*"), reverse=True):
    old.unlink() if old.is_file() else old.rmdir()
medrecon(f"train work/varnet_tiny.yaml --output {run} --set training.max_steps=100", hide=("time:", "memory:"))

# %% [markdown]
# `--resume` goes on where it stood, in the middle of an epoch, as if nothing had happened: the result is the same as that of
# a run in one piece. Other settings than those it was started with are refused, except for its length.

# %%
medrecon(f"train work/varnet_tiny.yaml --output {run} --resume", hide=("time:", "memory:"))
print("\n".join(sorted(str(path.relative_to(run)) for path in run.iterdir())))

# %%
steps = [(int(row["step"]), float(row["loss"])) for row in read_table(run / "steps.csv")]
epochs = [(int(row["step"]), float(row["loss"])) for row in read_table(run / "epochs.csv")]
figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained", facecolor="white", dpi=72)
axes.plot(*zip(*steps, strict=True), color="0.7", lw=1, label="training, each step")
axes.plot(*zip(*epochs, strict=True), color="black", marker="o", label="validation, each epoch")
axes.axvline(100, color="0.4", ls=":", label="cut off and resumed")
axes.set(xlabel="step", ylabel="L1 loss (share of the brightest pixel)", yscale="log")
_ = axes.legend(frameon=False)

# %% [markdown]
# *Figure 1. The loss. Each step sees two phantoms, so that it jumps; validation sees the same eight after every epoch, and
# where the run was cut off. `best.safetensors` holds the weights of the lowest point of the black line. The same curves lie
# in the folder for TensorBoard.*
#
# ## The card
#
# Weights without their origin cannot be trusted. Beside them lies a card: what they are for, what they were trained on, by
# which settings, how they scored. It also travels inside the file of weights, and medrecon reads it to build the network and
# to refuse or to note on scans that do not fit.

# %%
card = json.loads((run / "best.json").read_text())
for key in ("name", "intended_use", "operator", "normalization", "data", "trained_steps"):
    print(f"{key}: {card[key]}")
scores = card["metrics"]["validation"]
print(f"validation: PSNR {scores['psnr']:.2f} dB, SSIM {scores['ssim']:.4f} over {scores['samples']} samples")

# %% [markdown]
# ## Beside the others
#
# `medrecon benchmark` runs methods on scenarios and scores them by a named protocol, with 95 % intervals and paired
# differences to the best classical method (*gain*). The test is a head phantom that is unlike the random ones of the
# training. The last scenario is a shift: a mask that training never saw.

# %%
comparison = """
name: tiny
mri:
  methods:
    - {name: zero-filled, method: {kind: zero-filled}}
    - {name: SENSE, method: {kind: sense}}
    - {name: wavelet, method: {kind: wavelet}}
    - {name: my VarNet, method: {kind: varnet, weights: work/varnet_tiny/best.safetensors}}
  scenarios:
    - name: equispaced 4x, as trained
      data: &head {kind: phantom-mri, size: [64, 64], slices: 12, coils: 6, snr: 30}
      mask: {kind: equispaced-fraction, acceleration: 4}
    - name: random 4x
      data: *head
      mask: {kind: random, acceleration: 4}
"""
_ = Path("work/tiny.yaml").write_text(comparison)
medrecon("benchmark work/tiny.yaml --output work/tiny --workers 0 --overwrite")

# %%
settings = load_benchmark(Path("work/tiny.yaml"))
assert settings.mri is not None
images, errors = {}, {}
with torch.no_grad():
    scenario = settings.mri.scenarios[0]
    inputs = open_inputs(scenario, source_images(scenario.data)[6], settings.seed)
    for entry in settings.mri.methods:
        reconstruct = build(entry, settings.device)
        problem = inputs.pose(reconstruct, torch.device("cpu"))
        image = inputs.image(problem, reconstruct(problem.y, problem.A))
        images[entry.name], errors[f"|{entry.name} - target|"] = image, (image - inputs.target).abs()
white = float(inputs.target.quantile(0.998))
draw(
    Row({"target": inputs.target, **images}, (0, white), "intensity"),
    Row({"": None, **errors}, (0, white / 5), "intensity", "magma"),
)

# %% [markdown]
# *Figure 2. The middle slice of the first scenario: target and methods in one window, below the errors, five times brighter.*
#
# ## From here
#
# - Larger: more `features`, `cascades` and `epochs`; `medrecon train configs/varnet_brain_small.yaml` trains on real heads in
#   some hours on a processor.
# - Other networks: `unet`, `modl`, `primal-dual`, `e2e-varnet`; CT with `kind: phantom-ct` or `lodopab`.
# - GPUs: `--devices 4`, or `torchrun` over several machines; `training.precision=bf16`.
# - Use the weights on a scan:
#   `medrecon reconstruct scan.h5 --output image.h5 --method varnet --weights work/varnet_tiny/best.safetensors`.
