"""A package, so that pytest does not take the folder above, `sandbox`, for the package of that name."""
