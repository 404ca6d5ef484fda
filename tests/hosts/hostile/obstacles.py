"""What the hostile site puts in everybody's way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

MARK = "x-host-was-here"
FALL_OVER = "x-fall-over"


class RefusingAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> NoReturn:
        raise AuthenticationFailed("This site knows nobody.")


class RefusingNegotiation(BaseContentNegotiation):
    def select_parser(self, request: Request, parsers: Any) -> NoReturn:
        raise NotAcceptable

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> NoReturn:
        raise NotAcceptable


def teapot(error: Exception, context: Any) -> Response:
    return Response("teapot", status=418)


def nobody() -> NoReturn:
    raise RuntimeError("This site has no anonymous users.")


def synchronous_only(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """An old middleware, for which Django runs everything below it in another thread."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if FALL_OVER in request.headers:
            raise RuntimeError("This middleware falls over, and the answer is dropped.")
        response.headers[MARK] = "1"
        return response

    return middleware


@sync_and_async_middleware
def asynchronous_too(get_response: Any) -> Any:
    if not iscoroutinefunction(get_response):
        return get_response

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        answer: Awaitable[HttpResponseBase] = get_response(request)
        return await answer

    return middleware
