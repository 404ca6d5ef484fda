"""Where the gateway may connect to.

An upstream's base URL is the operator's word: loopback and private networks are fine (Ollama, the sandbox), the
metadata services of clouds never are, because they hand out the machine's own credentials.
"""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from collections.abc import Iterable
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Link-local covers AWS, Google Cloud, Azure, Oracle and others; the rest are documented exceptions of single vendors.
METADATA_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",  # AWS over IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud classic
    )
)
# NAT64 (RFC 6052, RFC 8215) and the old IPv4-compatible form: the last 32 bits are the IPv4 address.
IPV4_INSIDE = tuple(ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data.ec2.internal"})


class AddressRefused(ValueError):
    """The address may not be connected to; the message says why."""


def plain_host(host: str) -> str:
    """What a host amounts to for clients: lower case, no final dots, full-width characters and dots as ASCII ones.

    They map a host by the rules of international names before they connect, and some characters vanish in that:
    "１６９。254.169.254" is an address to them. So what is not ASCII after the mapping is left out of the comparison.
    https://www.unicode.org/reports/tr46/
    """
    mapped = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    return mapped.encode("ascii", "ignore").decode().rstrip(".").lower()


def parse_address(host: str) -> IPAddress | None:
    """The address, unwrapped from IPv4-in-IPv6 forms, or None for a name."""
    text = plain_host(host.strip("[]").partition("%")[0])
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _legacy_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and not address.is_loopback and any(address in network for network in IPV4_INSIDE):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _legacy_address(text: str) -> IPAddress | None:
    """IPv4 in the forms that C libraries still take: one number, hexadecimal, octal, fewer than four parts."""
    if not text or not text[0].isdigit() or not text.isascii() or any(character.isspace() for character in text):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):
        return None


def is_metadata_address(host: str) -> bool:
    address = parse_address(host)
    return address is not None and (
        address.is_multicast or address.is_unspecified or any(address in network for network in METADATA_NETWORKS)
    )


def check_base_url(url: str) -> str:
    """The URL without trailing slashes, fit to be an upstream's base URL.

    :raises AddressRefused: not http(s), no host, credentials, query or fragment in it, or a metadata service.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"This is not a URL: {error}.") from error
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("http", "https"):
        raise AddressRefused("The base URL must begin with http:// or https://.")
    if not host:
        raise AddressRefused("The base URL names no host.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("The base URL must not hold a user name or password; the credential has its own field.")
    if parts.query or parts.fragment:
        raise AddressRefused("The base URL must not have a query or fragment.")
    # A percent sign belongs to the zone of an IPv6 address only; elsewhere clients differ in what they make of it.
    is_escaped = "%" in host and ":" not in host
    if port == 0 or is_escaped or any(character.isspace() or ord(character) < 32 for character in url.strip()):
        raise AddressRefused("The base URL holds a character or port that cannot be.")
    if plain_host(host) in METADATA_NAMES or is_metadata_address(host):
        raise AddressRefused("The base URL points to a cloud metadata service or a link-local address.")
    return url.strip().rstrip("/")


def refuse_metadata(addresses: Iterable[str]) -> None:
    """Check what a name resolved to, right before connecting.

    :raises AddressRefused: one of them is a metadata or link-local address.
    """
    for address in addresses:
        if is_metadata_address(address):
            raise AddressRefused("The host name resolves to a cloud metadata service or a link-local address.")
