import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.evidence.addresses import canonical_address, read_address


@pytest.mark.parametrize(
    "written",
    [
        "12345678",
        " 0012345678 ",
        "12345678.0",
        "PMID: 12345678",
        "pmid:12345678",
        "PMID12345678",
        "pubmed:12345678",
        "http://www.ncbi.nlm.nih.gov/pubmed/12345678",
        "https://www.ncbi.nlm.nih.gov/pubmed/12345678/",
        "HTTPS://PubMed.NCBI.nlm.nih.gov/12345678/?from=x#abstract",
        "https://pubmed.ncbi.nlm.nih.gov:443/12345678",
    ],
)
def test_every_spelling_of_a_pubmed_id_is_one_address(written: str) -> None:
    address = read_address(written)
    assert (address.canonical, address.kind, address.pubmed_id) == ("pubmed:12345678", "pubmed", "12345678")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("HTTP://Example.ORG:80", "http://example.org/"),
        ("https://example.org:443/A?b=C#part", "https://example.org/A?b=C"),
        ("https://example.org.:8443/a/", "https://example.org:8443/a/"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("https://müller.example/ä", "https://xn--mller-kva.example/ä"),
        ("https://www.ncbi.nlm.nih.gov/pmc/articles/PMC123/", "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC123/"),
        ("https://www.ncbi.nlm.nih.gov/pubmed/?term=p53", "https://www.ncbi.nlm.nih.gov/pubmed/?term=p53"),
    ],
)
def test_other_addresses_are_pages_in_one_spelling(written: str, canonical: str) -> None:
    address = read_address(written)
    assert (address.canonical, address.kind) == (canonical, "page")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "neither a PubMed id nor an address"),
        ("0", "neither a PubMed id nor an address"),
        ("-5", "neither a PubMed id nor an address"),
        ("12345678901", "neither a PubMed id nor an address"),
        ("ftp://example.org/x", "neither a PubMed id nor an address"),
        ("file:///etc/passwd", "neither a PubMed id nor an address"),
        ("javascript:alert(1)", "neither a PubMed id nor an address"),
        ("10.1000/xyz", "neither a PubMed id nor an address"),
        ("http://", "must name a host"),
        ("https:///a", "must name a host"),
        ("http:a", "must name a host"),
        ("http://a%20b/", "must name a host of letters"),
        ("http://example.org:99999/", "not a web address: Port out of range"),
        ("http://[::1/", "not a web address: Invalid IPv6 URL"),
        ("http://exa mple.org/", "no white space"),
        ("http://example.org/\r\nHost: x", "no white space"),
        ("http://example.org/" + "a" * 5000, "no more than 4,096 characters"),
    ],
)
def test_anything_else_is_refused_in_words(written: str, words: str) -> None:
    address = read_address(written)
    assert address.kind == "refused"
    assert words in address.reason
    assert read_address(address.canonical).kind == "refused"


def test_a_password_is_refused_and_not_repeated() -> None:
    address = read_address("https://me:secret@example.org/a")
    assert address.kind == "refused"
    assert "user name or a password" in address.reason
    assert address.canonical == "https://***@example.org/a"


@given(
    st.one_of(
        st.text(),
        st.text().map("https://{}".format),
        st.text(alphabet="0123456789.@:/[]?#% -ab", max_size=20).map("http://{}".format),
    )
)
def test_no_text_raises_and_a_canonical_address_stays_as_it_is(written: str) -> None:
    once = read_address(written)
    again = read_address(once.canonical)
    assert (again.canonical, again.kind) == (once.canonical, once.kind)
    assert canonical_address(written) == once.canonical
