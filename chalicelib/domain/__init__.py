"""Types and rules that every layer may use. Standard library only: no clock, no random, no I/O."""
