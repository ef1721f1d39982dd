"""Connections to public machines alone: what is checked is the IP address that is connected to.

A name is looked up once, its addresses are checked, and the connection goes to a checked address; a name that answers
otherwise the next time changes nothing. Proxies of the environment are not used, they would look up names themselves.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import cache

import httpx

from strop.evidence.attempts import Refusal

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# IPv4 addresses are written inside these IPv6 addresses, in their last 32 bits (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def resolve(host: str, port: int) -> Sequence[str]:
    """IP addresses of a host, as the system gives them.

    Raises:
        OSError: There are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(written: str) -> bool:
    """Whether an IP address belongs to a machine of the public network.

    Private, loopback, link-local, reserved, multicast and unspecified addresses do not, nor do IPv6 addresses that
    carry such an IPv4 address.
    """
    address: IpAddress = ipaddress.ip_address(written.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
        elif address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests to checked addresses. Certificates are checked against the name, not the address.

    Args:
        allow_hosts: Names that may be connected to whatever their addresses.
        resolve: Looks up a name.
    """

    def __init__(self, allow_hosts: Sequence[str], resolve: Resolve = resolve) -> None:
        self._allow_hosts = frozenset(host.lower().strip("[]") for host in allow_hosts)
        self._resolve = resolve
        # One pool a name: a connection whose certificate was checked for one name must not serve another.
        self._pools: dict[str, httpx.AsyncHTTPTransport] = {}
        self._checked: dict[tuple[str, int], tuple[str, ...]] = {}
        self._looking_up: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first of the host's checked addresses that takes a connection.

        Raises:
            Refusal: The host has no public address and is not allowed by name.
            httpx.ConnectError: The name cannot be resolved, or no address takes a connection.
        """
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        addresses = await self._checked_addresses(host, port)
        if host not in self._pools:
            self._pools[host] = httpx.AsyncHTTPTransport(verify=_certificates(), trust_env=False)
        pool = self._pools[host]
        for address in addresses[:-1]:
            try:
                return await pool.handle_async_request(_addressed(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await pool.handle_async_request(_addressed(request, addresses[-1]))

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    async def _checked_addresses(self, host: str, port: int) -> tuple[str, ...]:
        async with self._looking_up[host, port]:
            if (host, port) not in self._checked:
                self._checked[host, port] = await self._look_up(host, port)
            return self._checked[host, port]

    async def _look_up(self, host: str, port: int) -> tuple[str, ...]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"the name '{host}' cannot be resolved ({error})") from error
        if host.lower() in self._allow_hosts:
            return tuple(addresses)
        public = tuple(address for address in addresses if is_public(address))
        if not public:
            raise Refusal(
                f"'{host}' is at {', '.join(addresses)}, which is no public address; name it in"
                " evidence.fetch.allow_hosts if it is meant"
            )
        return public


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities that the system trusts; they take long to load."""
    return ssl.create_default_context()


def _addressed(request: httpx.Request, address: str) -> httpx.Request:
    """The same request, to be sent to an IP address; the header Host and the name in TLS stay."""
    name = request.url.host
    extensions = dict(request.extensions)
    if not _is_ip_address(name):
        extensions["sni_hostname"] = name
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
