"""One blueprint factory a file: parse, call a service, answer."""
