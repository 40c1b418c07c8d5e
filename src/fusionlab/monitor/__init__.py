"""What is seen of a study from outside: its state, running jobs, workers, the time left."""
