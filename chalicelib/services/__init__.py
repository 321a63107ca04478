"""What the vault decides. Services know the domain and the ports, nothing of HTTP, AWS, LDAP or OAuth libraries."""
