"""Sends upstream requests from synchronous code: connection tests now, record verbs and workers later."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError

from tikhub_app.exceptions import UpstreamError, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnreachable
from tikhub_app.upstream.address_guard import AddressRefused, check_base_url, refuse_metadata
from tikhub_app.upstream.values import UpstreamRequest


@dataclass(frozen=True, slots=True)
class WholeReply:
    """Status, headers (lower-case names) and body of a reply that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


class _GuardedConnection(HTTPConnection):
    """Connects only to addresses that were looked at; a name may not lead elsewhere the second time it is asked for."""

    def _new_conn(self) -> socket.socket:
        # urllib3 has no public hook here: it resolves and connects in one step, from this attribute.
        name = self._dns_host
        try:
            found = socket.getaddrinfo(name, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(name, self, error) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        refuse_metadata(addresses)
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError):
                if address == addresses[-1]:
                    raise
            finally:
                self._dns_host = name
        raise OSError(f"no address for {name}")


class _GuardedTlsConnection(_GuardedConnection, HTTPSConnection):
    pass


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _GuardedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTlsConnection


class _GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _GuardedPool, "https": _GuardedTlsPool}


def _meaning(error: requests.ConnectionError) -> UpstreamError:
    """requests has one class for what happens before, at and after the sending; here it makes all the difference."""
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", None) or inner
    if isinstance(reason, ReadTimeoutError):
        return UpstreamTimeout("The provider was silent for too long within its answer.")
    if isinstance(error, requests.exceptions.SSLError) or isinstance(reason, (NewConnectionError, ConnectTimeoutError)):
        return UpstreamUnreachable("No connection to the provider could be made.")
    return UpstreamInvalidResponse("The connection to the provider broke before it answered.")


def send(request: UpstreamRequest, *, limit: int) -> WholeReply:
    """Send and read the whole answer, up to ``limit`` bytes; redirects are not followed.

    :raises UpstreamUnreachable: no connection.
    :raises UpstreamTimeout: no answer in time.
    :raises UpstreamInvalidResponse: broken off, or longer than the limit.
    """
    parts = urlsplit(request.url)
    try:
        check_base_url(f"{parts.scheme}://{parts.netloc}")
        found = socket.getaddrinfo(parts.hostname, parts.port or None, type=socket.SOCK_STREAM)
        refuse_metadata(str(entry[4][0]) for entry in found)
    except AddressRefused as error:
        raise UpstreamUnreachable(str(error)) from error
    except OSError as error:
        raise UpstreamUnreachable(f"The host name {parts.hostname} cannot be resolved.") from error
    limits = request.timeouts
    with requests.Session() as session:
        session.trust_env = False  # a proxy variable or .netrc must not redirect the credential
        session.mount("http://", _GuardedAdapter())
        session.mount("https://", _GuardedAdapter())
        try:
            with session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body or None,
                timeout=(limits.connect_s, limits.first_byte_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = b""
                for piece in response.iter_content(64 * 1024):
                    body += piece
                    if len(body) > limit:
                        raise UpstreamInvalidResponse(f"The provider's answer is longer than {limit} bytes.")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return WholeReply(response.status_code, headers, body)
        except AddressRefused as error:
            raise UpstreamUnreachable(str(error)) from error
        except requests.ConnectTimeout as error:
            raise UpstreamUnreachable(f"No connection within {limits.connect_s:g} s.") from error
        except requests.Timeout as error:
            raise UpstreamTimeout(f"The provider sent nothing within {limits.first_byte_s:g} s.") from error
        except requests.ConnectionError as error:
            raise _meaning(error) from error
        except requests.RequestException as error:
            raise UpstreamInvalidResponse("The provider's answer could not be read.") from error
