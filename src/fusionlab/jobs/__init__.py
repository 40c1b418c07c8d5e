"""What runs inside a job: data, stages, records."""
