"""Learning the association: regressors, streaming sums, closed form, inference."""
