"""The verbs: each reads the run directory and adds to it; they meet nowhere else."""
