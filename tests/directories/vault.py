"""The vault's own view of the real directories: settings as a company would write them."""

from typing import Any

from chalicelib.adapters.directory import Directories
from chalicelib.adapters.secrets_manager import SecretUnreadable
from chalicelib.adapters.system import SystemClock
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.secret import Secret
from chalicelib.domain.user import User
from tests.directories.samba import SambaController
from tests.directories.slapd import OpenLdap

SERVICE = "svc-vault"


class Secrets:
    """What Secrets Manager would give; None for nothing. `read_anew` counts the calls that go past what is kept."""

    def __init__(self, password: str | None) -> None:
        self.password = password
        self.read_anew = 0

    def read(self, name: str, *, anew: bool = False) -> Secret:
        self.read_anew += anew
        if self.password is None:
            raise SecretUnreadable("ResourceNotFoundException")
        return Secret(self.password)


def contoso(samba: SambaController, **changed: Any) -> DirectorySettings:
    """Read by people themselves, at log-in."""
    described = {
        "domain": samba.netbios,
        "dns_name": samba.dns_name,
        "servers": (samba.ldaps_url,),
        "ca_file": str(samba.ca_file),
    }
    return DirectorySettings(**(described | changed))


def contoso_with_service(samba: SambaController, **changed: Any) -> DirectorySettings:
    """Read by a service account; names may be written in every form."""
    account = {
        "service_account": f"{samba.netbios}\\{SERVICE}",
        "service_secret": "vault/directory",
        "user_name_forms": ("domain", "upn", "plain"),
    }
    return contoso(samba, **(account | changed))


def example(openldap: OpenLdap, **changed: Any) -> DirectorySettings:
    """OpenLDAP, the DN of people made from their names."""
    described = {
        "domain": "EXAMPLE",
        "kind": "openldap",
        "servers": (openldap.ldaps_url,),
        "ca_file": str(openldap.ca_file),
        "base_dn": openldap.base_dn,
        "user_dn": f"uid={{name}},{openldap.people_dn}",
    }
    return DirectorySettings(**(described | changed))


def example_with_service(openldap: OpenLdap, **changed: Any) -> DirectorySettings:
    """OpenLDAP over StartTLS, people found by a service account, groups by a search."""
    account = {
        "servers": (openldap.starttls_url,),
        "service_account": openldap.service_dn,
        "service_secret": "vault/directory",
        "group_search": True,
    }
    return example(openldap, **(account | changed))


def directories(*settings: DirectorySettings, secret: str | None = f"{SERVICE}-Pass1!") -> Directories:
    return Directories(settings, Secrets(secret), SystemClock())


def log_in(of: Directories, name: str, password: str) -> User:
    return of.authenticate(of.account(name), Secret(password))
