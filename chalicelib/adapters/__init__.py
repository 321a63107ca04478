"""What lies outside: AWS clients, KMS, the directory, the clouds, the clock."""
