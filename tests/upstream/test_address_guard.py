"""Where an upstream's base URL may lead: anywhere the operator says, never to a cloud's metadata service."""

from __future__ import annotations

import pytest

from tikhub_app.upstream.address_guard import AddressRefused, check_base_url, refuse_metadata

ALLOWED = [
    "https://api.openai.com/v1",
    "http://127.0.0.1:11434/v1",
    "http://localhost:8000",
    "http://[::1]:8000/v1",
    "http://10.0.0.5/v1",
    "http://192.168.1.7:1234/v1",
    "https://xn--bcher-kva.example/v1",
    "https://bücher.example/v1",
    "https://例え.jp/v1",
    "http://ollama:11434/v1",
    "http://2.1.168.192.in-addr.example/v1",
]

#: Every way to write 169.254.169.254 and its like that some client or resolver understands.
METADATA = [
    "http://169.254.169.254/latest/meta-data",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xA9.0xFE.0xA9.0xFE/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://１６９.254.169.254/",
    "http://169。254。169。254/",
    "http://169．254．169．254/",
    "http://①⑥⑨.254.169.254/",
    "http://169.254.169\u00ad.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://metadata.google.internal/computeMetadata/v1",
    "http://METADATA.google.internal./",
    "http://ｍetadata.google.internal/",
    "http://meta\u200bdata.google.internal/",
    "http://metadata/",
    "http://0.0.0.0/",
    "http://0/",
    "http://[::]/",
    "http://224.0.0.1/",
]

MALFORMED = [
    "",
    "api.openai.com/v1",
    "ftp://api.openai.com",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_",
    "https://",
    "https:///v1",
    "https://user:password@api.openai.com/v1",
    "https://user@api.openai.com/v1",
    "https://api.openai.com\\@169.254.169.254/",
    "https://169.254.169.254\\@api.openai.com/",
    "https://api.openai.com/v1?key=1",
    "https://api.openai.com/v1#part",
    "https://api.openai.com:0/v1",
    "https://api.openai.com:99999/v1",
    "https://api.openai.com:80:80/v1",
    "https://api openai.com/v1",
    "https://api.openai.com/v1\r\nX-Header: 1",
    "https://metadata.google.internal%2e/",
    "https://%31%36%39.254.169.254/",
    "http://[::1/v1",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_the_operators_word_is_taken(url: str) -> None:
    assert check_base_url(url + "//") == url


@pytest.mark.parametrize("url", METADATA)
def test_metadata_services_are_never_an_upstream(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_base_url(url)


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_plain_base_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_base_url(url)


def test_one_metadata_address_among_those_of_a_name_is_enough() -> None:
    refuse_metadata(["127.0.0.1", "8.8.8.8", "::1"])
    with pytest.raises(AddressRefused):
        refuse_metadata(["8.8.8.8", "169.254.169.254"])
