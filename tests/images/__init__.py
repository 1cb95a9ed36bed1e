"""The images and compose.yaml, built and run on this machine: no registry, nothing left behind."""
