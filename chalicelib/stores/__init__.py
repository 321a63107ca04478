"""DynamoDB and nothing else: one module a kind of record, `tables.py` for names, keys and indexes."""
