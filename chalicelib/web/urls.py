"""Every address the vault makes, from the configured public URL; never from the Host header (R43)."""

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Urls:
    """`public_url` has no slash at its end; its path, if any, is the stage prefix of API Gateway."""

    public_url: str

    @property
    def origin(self) -> str:
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        """Without its port."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def base_path(self) -> str:
        return urlsplit(self.public_url).path

    @property
    def is_secure(self) -> bool:
        return self.public_url.startswith("https://")

    def absolute(self, path: str) -> str:
        """`path` begins with a slash."""
        return self.public_url + path

    def connect(self, provider_id: str) -> str:
        """Where a person authorizes that provider, after logging in. The link grants nothing by itself."""
        return self.absolute(f"/providers#provider-{provider_id}")
