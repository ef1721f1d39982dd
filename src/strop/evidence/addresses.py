"""The one spelling of a document's address: PubMed ids however they are written, and web addresses."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Kind = Literal["pubmed", "page", "refused"]

# "123.0" is what a table with gaps makes of a column of ids.
_PUBMED_ID = re.compile(r"(?:(?:pmid|pubmed)\s*:?\s*)?0*([1-9]\d{0,9})(?:\.0)?", re.IGNORECASE)
_PUBMED_PATHS = {
    "www.ncbi.nlm.nih.gov": re.compile(r"/pubmed/0*([1-9]\d{0,9})/?"),
    "ncbi.nlm.nih.gov": re.compile(r"/pubmed/0*([1-9]\d{0,9})/?"),
    "pubmed.ncbi.nlm.nih.gov": re.compile(r"/0*([1-9]\d{0,9})/?"),
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile("[^\x00-\x20\x7f\ufffd]+")
_HOST = re.compile(r"[a-z0-9._:-]+")
_LONGEST_ADDRESS = 4096
_LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Address:
    """Where a document is asked for.

    Attributes:
        canonical: "pubmed:12345678", or a URL with scheme and host in lower case and without fragment; of a refused
            address what was written, without a password.
        kind: pubmed, page, or refused.
        reason: Why it is refused, in words; else "".
    """

    canonical: str
    kind: Kind
    reason: str = ""

    @property
    def pubmed_id(self) -> str:
        """The digits of a PubMed address."""
        return self.canonical.removeprefix("pubmed:")


def canonical_address(written: str) -> str:
    """The spelling under which the store keeps a document; read again it stays as it is. See `read_address`."""
    return read_address(written).canonical


def read_address(written: str) -> Address:
    """Understand an address as it stands in a data file.

    PubMed ids: "123", "PMID: 123", "pubmed:123", http://www.ncbi.nlm.nih.gov/pubmed/123,
    https://pubmed.ncbi.nlm.nih.gov/123/. Pages: any http or https address. Nothing is raised: an address of another
    kind is refused with its reason, so that one of them does not stop thousands of others.

    Args:
        written: The address.

    Returns:
        The address, its kind, and the reason if it is refused.
    """
    stripped = written.strip()
    if (found := _PUBMED_ID.fullmatch(stripped)) is not None:
        return Address(f"pubmed:{found[1]}", "pubmed")
    if not stripped.lower().startswith(("http:", "https:")):
        return _refused(stripped, "neither a PubMed id nor an address that begins with http:// or https://")
    if _PRINTABLE.fullmatch(stripped) is None or len(stripped) > _LONGEST_ADDRESS:
        return _refused(stripped, f"a web address has no white space and no more than {_LONGEST_ADDRESS:,} characters")
    try:
        return _read_url(stripped)
    except ValueError as error:  # urllib's word for a broken port, a broken IPv6 address, a host that has no name
        return _refused(stripped, f"not a web address: {error}")


def _read_url(written: str) -> Address:
    parts = urlsplit(written)
    host, port = (parts.hostname or "").rstrip("."), parts.port
    if parts.username is not None or parts.password is not None:
        return _refused(written, "an address must not carry a user name or a password")
    if not host.isascii():
        host = host.encode("idna").decode("ascii").lower()
    if _HOST.fullmatch(host) is None:
        return _refused(written, "a web address must name a host of letters, digits, hyphens and dots")
    found = _PUBMED_PATHS[host].fullmatch(parts.path) if host in _PUBMED_PATHS else None
    if found is not None:
        return Address(f"pubmed:{found[1]}", "pubmed")
    place = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        place = f"{place}:{port}"
    return Address(urlunsplit((parts.scheme, place, parts.path or "/", parts.query, "")), "page")


def _refused(written: str, reason: str) -> Address:
    shown = re.sub(r"//[^/?#]*@", "//***@", written)
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)
    if len(shown) > _LONGEST_SHOWN:
        shown = shown[:_LONGEST_SHOWN] + " ..."  # with white space it is refused wherever it is read again
    return Address(shown, "refused", reason)
