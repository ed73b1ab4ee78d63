"""Molecular dynamics with OpenMM: a stand-alone runner that can be stopped and moved."""
