"""The commands of `medrecon`, one function each; they import torch only when they run."""
