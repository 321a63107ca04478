"""An embedded directory: LDAPv3 over TLS on loopback, in the dialect of Active Directory that a log-in needs."""

from .certificates import Authority
from .server import EmbeddedDirectory
from .tree import CONTOSO

__all__ = ["CONTOSO", "Authority", "EmbeddedDirectory"]
