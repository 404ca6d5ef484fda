from __future__ import annotations

from base64 import b64encode

import pytest

from tikhub_app.exceptions import InvalidRequest
from tikhub_app.translation.media import Media, read_data_url, read_file_data

PNG = b64encode(b"\x89PNG\r\n\x1a\n rest").decode()


@pytest.mark.parametrize(
    ("url", "media"),
    [
        (f"data:image/png;base64,{PNG}", Media("image/png", PNG)),
        (f"DATA:image/JPG;charset=utf-8;base64,{PNG}", Media("image/jpeg", PNG)),
        (f"data:;base64,{PNG}", Media("image/png", PNG)),
        ("data:image/png;base64,_-8", Media("image/png", "/+8=")),
        (f"data:image/png;base64,{PNG[:4]}\n{PNG[4:]}", Media("image/png", PNG)),
        ("data:,a%20b", Media("text/plain", b64encode(b"a b").decode())),
    ],
)
def test_it_reads_data_urls_as_they_are_written_in_the_wild(url: str, media: Media) -> None:
    assert read_data_url(url, "p") == media


@pytest.mark.parametrize("url", ["data:image/png;base64", "data:image/png;base64,%%%", "data:image/png;base64,"])
def test_it_names_the_field_of_a_broken_data_url(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_data_url(url, "messages[0].content[1].image_url.url")
    assert refused.value.param == "messages[0].content[1].image_url.url"


def test_it_tells_the_kind_of_bare_base64_by_its_beginning_or_its_name() -> None:
    pdf = b64encode(b"%PDF-1.7").decode()
    assert read_file_data(pdf, None, "p").media_type == "application/pdf"
    assert read_file_data("aGk=", "notes.txt", "p").media_type == "text/plain"
    assert read_file_data("aGk=", None, "p").media_type == ""
