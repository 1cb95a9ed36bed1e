"""Tests of what measures the fleet. A package, so that pytest does not take its path for the name `loadtests`."""
