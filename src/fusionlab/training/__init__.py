"""Floor 4: a cohort of arms trained together over shared frozen streams, each as if it were alone."""
