"""Tests of the storm. A package, so that pytest does not take its path for the name `loadtests`."""
