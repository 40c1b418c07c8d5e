"""The work inside a job: data, stages, records."""
