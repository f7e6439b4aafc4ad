# Every public name, once: `__init__.py` imports by these lines, and type checkers read them.

from ._version import __version__ as __version__

# Packages with public names of their own.
from . import networks as networks
from . import operators as operators
from . import reconstructors as reconstructors

# MRI: files, sampling, coil maps, problems.
from .data.mri.fastmri import FastMRIFile as FastMRIFile
from .data.mri.fastmri import KSpaceSample as KSpaceSample
from .data.mri.fastmri import find_fastmri_files as find_fastmri_files
from .data.mri.masks import SamplingMask as SamplingMask
from .data.mri.masks import equispaced_fraction_mask as equispaced_fraction_mask
from .data.mri.masks import equispaced_mask as equispaced_mask
from .data.mri.masks import magic_fraction_mask as magic_fraction_mask
from .data.mri.masks import magic_mask as magic_mask
from .data.mri.masks import mask_seed as mask_seed
from .data.mri.masks import random_mask as random_mask
from .data.mri.variable_density import gaussian_mask as gaussian_mask
from .data.mri.variable_density import poisson_mask as poisson_mask
from .data.mri.variable_density import radial_mask as radial_mask
from .calibration import espirit as espirit
from .calibration import estimate_maps as estimate_maps
from .calibration import low_resolution_maps as low_resolution_maps
from .problem import coil_problem as coil_problem
from .problem import crop_readout as crop_readout
from .problem import full_reconstruction as full_reconstruction
from .problem import remove_oversampling as remove_oversampling
from .problem import sense_problem as sense_problem
from .problem import undersample as undersample

# CT: files, scanners, units, problems.
from .data.ct.sinograms import SinogramSample as SinogramSample
from .data.ct.sinogram_files import SinogramFile as SinogramFile
from .data.ct.lodopab import LoDoPaB as LoDoPaB
from .data.ct.lodopab import LoDoPaBFile as LoDoPaBFile
from .data.formats import open_sinograms as open_sinograms
from .data.ct.geometry_files import CTScan as CTScan
from .data.ct.geometry_files import read_geometry as read_geometry
from .geometry import Arc as Arc
from .geometry import FanBeam as FanBeam
from .geometry import Geometry as Geometry
from .geometry import Grid as Grid
from .geometry import ParallelBeam as ParallelBeam
from .geometry import lodopab as lodopab
from .geometry import lodopab_grid as lodopab_grid
from .data.ct.attenuation import AttenuationUnit as AttenuationUnit
from .data.ct.attenuation import attenuation_from_hounsfield as attenuation_from_hounsfield
from .data.ct.attenuation import hounsfield_from_attenuation as hounsfield_from_attenuation
from .problem import add_dose_noise as add_dose_noise
from .problem import ct_problem as ct_problem
from .problem import subsample_views as subsample_views

# Phantoms, whose k-space and sinograms are known in closed form.
from .data.phantoms.ellipses import Ellipse as Ellipse
from .data.phantoms.ellipses import Ellipsoid as Ellipsoid
from .data.phantoms.ellipses import Phantom as Phantom
from .data.ct.projections import phantom_image as phantom_image
from .data.ct.projections import phantom_sinogram as phantom_sinogram

# Problems, operators and reconstructors of either.
from .problem import Problem as Problem
from .spaces import Space as Space
from .operators import CoilMaps as CoilMaps
from .operators import Fourier as Fourier
from .operators import Gradient as Gradient
from .operators import LinearOperator as LinearOperator
from .operators import Mask as Mask
from .operators import Radon as Radon
from .operators import Wavelet as Wavelet
from .operators import operator_norm as operator_norm
from .operators import sense as sense
from .reconstructor import Reconstructor as Reconstructor
from .reconstructors import AutomaticWeight as AutomaticWeight
from .reconstructors import Denoiser as Denoiser
from .reconstructors import DiffusionSampler as DiffusionSampler
from .reconstructors import FilteredBackprojection as FilteredBackprojection
from .reconstructors import Grappa as Grappa
from .reconstructors import NonnegativeTotalVariation as NonnegativeTotalVariation
from .reconstructors import PlugAndPlay as PlugAndPlay
from .reconstructors import PoissonTotalVariation as PoissonTotalVariation
from .reconstructors import RootSumOfSquares as RootSumOfSquares
from .reconstructors import Sense as Sense
from .reconstructors import Sirt as Sirt
from .reconstructors import Tikhonov as Tikhonov
from .reconstructors import TotalVariation as TotalVariation
from .reconstructors import WaveletSparsity as WaveletSparsity
from .reconstructors import ZeroFilled as ZeroFilled
from .reconstructors import extrapolate as extrapolate
from .weights.learned import LearnedReconstructor as LearnedReconstructor
from .weights.learned import load as load

# Scores, and the error that a user can mend.
from .metrics import nmse as nmse
from .metrics import psnr as psnr
from .metrics import ssim as ssim
from .evaluation import MeanScore as MeanScore
from .evaluation import VolumeScore as VolumeScore
from .errors import InputError as InputError
