"""A cohort of arms, trained together on shared frozen streams, each with the result that it has alone."""
