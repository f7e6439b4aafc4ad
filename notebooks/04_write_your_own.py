# %% [markdown]
# # Write your own operator and method
#
# In medrecon a scan is `y = A x + noise`, where `A` is a linear operator, and a method is anything that is called as
# `x = method(y, A)`. So a new method needs no knowledge of scanners, and a new operator none of methods. This notebook writes
# one of each, has the operator checked by the contract tests, and puts the method into `medrecon benchmark`, for MRI and CT.
#
# The contract tests lie in the repository, not in the installed package: run this in a copy of it, after `make test` or
# `pip install -e .[dev]`.

# %%
import inspect
import itertools
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from figures import Row, draw
from program import medrecon

from medrecon import Gradient, Space

Path("work").mkdir(exist_ok=True)
repository = Path(find_spec("medrecon").origin).parents[1]
sys.path[:0] = [str(Path.cwd()), str(repository)]

# %% [markdown]
# ## An operator
#
# Total variation penalizes first differences, so it likes steps and draws slopes as stairs. *Second* differences leave slopes
# alone: `x[n-1] - 2 x[n] + x[n+1]` along each axis.
#
# An operator is a frozen value. It says which arrays it takes (`domain`) and gives (`range`), and writes two maps: itself and
# its adjoint. All else (`A(x)` that checks shapes, `A.H`, `A.gram`, `A @ B`, gradients, batches) is written once, in
# `LinearOperator`. We write it into a file, since the benchmark is to import it.

# %%
operator = '''
import math
from dataclasses import dataclass

from medrecon import LinearOperator, Space


@dataclass(frozen=True, eq=False, repr=False)
class SecondDifferences(LinearOperator):
    """Second differences along every axis: `(..., y, x)` to `(..., direction, y, x)`; zero at the first and last pixel."""

    space: Space

    @property
    def domain(self):
        return self.space

    @property
    def range(self):
        return Space(("direction", *self.space.axes), (self.space.ndim, *self.space.shape), self.space.is_complex)

    def _forward(self, x):
        out = x.new_zeros((*self.space.batch_shape(x), *self.range.shape))
        for direction, dim in enumerate(self.space.dims):
            n = x.shape[dim] - 2
            inner = out.select(-self.space.ndim - 1, direction).narrow(dim, 1, n)
            inner += x.narrow(dim, 0, n) - 2 * x.narrow(dim, 1, n) + x.narrow(dim, 2, n)
        return out

    def _adjoint(self, y):
        out = y.new_zeros((*self.range.batch_shape(y), *self.space.shape))
        for direction, dim in enumerate(self.space.dims):
            n = y.shape[dim] - 2
            inner = y.select(-self.space.ndim - 1, direction).narrow(dim, 1, n)
            for place, factor in enumerate((1, -2, 1)):
                out.narrow(dim, place, n).add_(inner, alpha=factor)
        return out

    def _norm_bound(self):
        return 4 * math.sqrt(self.space.ndim)
'''
_ = Path("work/mine.py").write_text(operator)

from work.mine import SecondDifferences

D = SecondDifferences(Space(("y", "x"), (6, 5), is_complex=True))
print(D)
print("takes", D.domain, "and gives", D.range)
try:
    D(torch.zeros(5, 6))
except ValueError as refusal:
    print("refuses:", refusal)

# %% [markdown]
# ## The contract tests
#
# `tests/catalogue.py` lists operators, one line each; `tests/contracts/test_operators.py` tries every promise on every line:
# that the matrix of `A.H` is the conjugate transpose of that of `A`, that the gram is `A.H A`, that gradients are right twice
# over, that a batch gives what a loop gives, that wrong shapes are refused in words, and so on. An operator that is to join
# medrecon gets its line there and is tested by `make test`. Here we add the line for the moment, and call the same functions.

# %%
from tests import catalogue
from tests.contracts import test_operators as contracts


def check(name, build):
    """Try every promise of operators on one, and say which are broken."""
    catalogue.OPERATORS[name] = build
    tests = {key: test for key, test in vars(contracts).items() if key.startswith("test_")}
    kept, broken = 0, {}
    for key, test in tests.items():
        takes = inspect.signature(test).parameters
        if "name" not in takes:
            continue
        choices = {mark.args[0]: mark.args[1] for mark in test.pytestmark if mark.args[0] != "name"}
        for values in itertools.product(*choices.values()):
            given = {"name": name, **dict(zip(choices, values, strict=True))}
            if "generator" in takes:
                given["generator"] = torch.Generator().manual_seed(0)
            try:
                test(**given)
                kept += 1
            except pytest.skip.Exception:
                pass
            except Exception:  # an assertion, or what the operator itself raised
                broken[key] = None
    print(f"{name}: {kept} kept;", f"broken: {', '.join(broken)}" if broken else "none broken")


check("second differences", lambda sizes: SecondDifferences(sizes.image(6, 5)))
check("second differences, real 3-D", lambda sizes: SecondDifferences(sizes.real_image(3, 4, 5)))

# %% [markdown]
# Can they fail? Here is the same operator with an adjoint that is half of what it should be, the kind of slip that still
# gives plausible images.


# %%
class Halved(SecondDifferences):
    """With a wrong adjoint."""

    def _adjoint(self, y):
        return 0.5 * super()._adjoint(y)


check("halved adjoint", lambda sizes: Halved(sizes.image(6, 5)))

# %% [markdown]
# What does it see? On a ramp with a step, first differences see the slope everywhere, second differences the step alone.

# %%
ramp = torch.linspace(0, 1, 96).expand(48, 96) + (torch.arange(96) > 60).float() * 0.5
image = ramp * (torch.arange(48)[:, None] > 16)
space = Space(("y", "x"), (48, 96), is_complex=False)
length = {
    "|first differences|": Gradient(space)(image).norm(dim=0),
    "|second differences|": SecondDifferences(space)(image).norm(dim=0),
}
draw(
    Row({"a ramp with a step": image}, (0, 1.5), "intensity"),
    Row(length, (0, 0.02), "intensity per pixel", "magma"),
    width=9,
)

# %% [markdown]
# *Figure 1. Above: an image that rises from left to right, with a step. Below: the length of its first and of its second
# differences, in one window. The slope is gone from the second.*
#
# ## A method
#
# Of the images that agree with the measurement, the one whose second differences are few:
# `argmin |A x - y|^2 / 2 + weight * unit * |D x|_1` (Lysaker, Lundervold & Tai, IEEE Trans Image Process 12:1579, 2003). The
# solver is the one of total variation, ADMM. `sparsity_unit` measures the weight in units of the scan.

# %%
method = '''

from medrecon import operator_norm
from medrecon.functionals import GroupL1, LeastSquares
from medrecon.reconstructors.scaling import sparsity_unit
from medrecon.solvers import admm, run


@dataclass(frozen=True)
class SecondOrder:
    """Compressed sensing with sparse second differences."""

    weight: float = 0.001
    iterations: int = 40

    def __call__(self, y, A, /):
        norm = operator_norm(A)  # about 1 in MRI, hundreds of millimeters in CT; the solver takes 1
        A, y = (1 / norm) * A, y / norm
        data = LeastSquares(A, y)
        D = SecondDifferences(A.domain)
        g = GroupL1(D.range, self.weight * sparsity_unit(y, A, data.backprojection))
        states = admm(data, g, D, data.backprojection, rho=0.02, inner_iterations=4)
        return run(states, max_iterations=self.iterations).x
'''
_ = Path("work/mine.py").write_text(operator + method)

# %% [markdown]
# ## In the benchmark
#
# `kind: custom` imports a class or an object, `module:name`, from the folder that `medrecon` is called in or from what is
# installed. It is scored as all methods are: the same scans, the same protocol, paired intervals, a residual against the
# noise; and its rows are made anew when its file changes. It knows no scanner, so the same lines put it into CT.

# %%
benchmark = """
name: mine
mri:
  methods:
    - {name: zero-filled, method: {kind: zero-filled}}
    - {name: SENSE, method: {kind: sense}}
    - {name: TV, method: {kind: tv}}
    - {name: second order, method: {kind: custom, import: "work.mine:SecondOrder"}}
  scenarios:
    - name: head, 4x
      data: {kind: phantom-mri, size: [128, 128], slices: 4, coils: 8, snr: 40}
      mask: {kind: equispaced-fraction, acceleration: 4}
ct:
  methods:
    - {name: FBP, method: {kind: fbp, window: hann}}
    - {name: TV, method: {kind: tv}}
    - {name: second order, method: {kind: custom, import: "work.mine:SecondOrder"}}
  scenarios:
    - name: abdomen, 60 views
      data: {kind: phantom-ct, size: 128, slices: 4, views: 360, photons: 20000}
      views: 60
"""
_ = Path("work/mine.yaml").write_text(benchmark)
medrecon("benchmark work/mine.yaml --output work/mine_results --workers 0 --overwrite --allow-code")

# %% [markdown]
# The table in `work/mine_results/summary.md` holds more, and `rows.csv` a line for every image. The phantoms consist of even
# pieces, which is what total variation is made for; on images with shading the order may turn. The weight was not tuned for
# either scan.
#
# ## From here
#
# - To make it part of medrecon, CONTRIBUTING.md has the steps; a line in the catalogue and one oracle (a closed form, a dense
#   solution) are the heart of them.
# - A method with weights is the same: a `torch.nn.Module` that is called as `(y, A)`. Gradients flow through every operator,
#   so it can be trained through `A`.
