"""The local stack: what stands in for AWS, the directory and a cloud. Never packaged."""
