"""Stand-ins for the ports, and servers that misbehave on demand."""
