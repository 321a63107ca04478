"""Static checks beyond the linter's, with programs of their own environment: `make secure`."""
