"""The fast loops behind the operators, one module a transform, each behind one registered torch operation."""
