"""Fuzzing of everything that reads text from outside: `make fuzz`, and a short walk in the tests (see `targets`)."""
