"""Do the tests notice when the code that decides is changed? `make mutate` (see `targets`)."""
