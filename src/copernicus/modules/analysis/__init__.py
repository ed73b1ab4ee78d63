"""Analysis of trajectories: dihedral angles, free-energy surfaces, next starting points."""
