import time

import pytest

from strop.evidence.attempts import Failure, Malformed, Trouble
from strop.evidence.pubmed import read_records
from strop.records.evidence import Document
from strop.testing.literature_server import expected_document, record_xml


def answer(*articles: str, doctype: str = "") -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>{doctype}<PubmedArticleSet>{"".join(articles)}</PubmedArticleSet>'


def article(inner: str, *, after: str = "", number: str = "7") -> str:
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="1">{number}</PMID><Article>{inner}</Article>{after}'
        "</MedlineCitation></PubmedArticle>"
    )


def read(inner: str, *, after: str = "") -> Document:
    return read_records(answer(article(inner, after=after)))["7"]


def test_sections_become_paragraphs_that_begin_with_their_label() -> None:
    document = read(
        "<ArticleTitle>A title.</ArticleTitle><Abstract>"
        '<AbstractText Label="BACKGROUND" NlmCategory="OBJECTIVE">Why.</AbstractText>'
        '<AbstractText Label="METHODS:">How\n  often.</AbstractText><AbstractText Label="UNLABELLED">So.</AbstractText>'
        "<AbstractText/><CopyrightInformation>© nobody</CopyrightInformation></Abstract>"
    )
    assert document == Document(
        "pubmed:7", "found", title="A title.", text="BACKGROUND: Why.\nMETHODS: How often.\nSo."
    )


def test_markup_inside_title_and_text_is_dropped_and_its_words_stay() -> None:
    document = read(
        "<ArticleTitle>Role of <i>BRCA1</i> in H<sub>2</sub>O <b>a<sup>b</sup></b> &amp; &lt;5%.</ArticleTitle>"
        "<Abstract><AbstractText>p<i>K</i><sub>a</sub> of <!-- never -->&#946;-catenin.</AbstractText></Abstract>"
    )
    assert document.title == "Role of BRCA1 in H2O ab & <5%."
    assert document.text == "pKa of β-catenin."


def test_several_abstracts_stand_below_each_other_english_ones_before_others() -> None:
    others = (
        '<OtherAbstract Type="plain-language-summary" Language="eng">'
        "<AbstractText>In short.</AbstractText></OtherAbstract>"
        '<OtherAbstract Type="Publisher" Language="spa"><AbstractText>En español.</AbstractText></OtherAbstract>'
        '<OtherAbstract Type="Publisher">'
        "<AbstractText>Abstract available from the publisher.</AbstractText></OtherAbstract>"
    )
    assert read("<Abstract><AbstractText>Long.</AbstractText></Abstract>", after=others).text == "Long.\nIn short."
    only = others.replace("eng", "fre")
    assert read("<ArticleTitle>T</ArticleTitle>", after=only).text == "In short.\nEn español."


def test_a_record_without_abstract_has_no_text_and_says_so() -> None:
    for inner in ("", "<Abstract/>", "<Abstract><AbstractText> </AbstractText></Abstract>"):
        document = read("<ArticleTitle>T</ArticleTitle>" + inner)
        assert document == Document("pubmed:7", "no_text", title="T", reason="the record has no abstract")


def test_a_title_that_is_not_there_is_that_of_the_own_language() -> None:
    inner = "<ArticleTitle>[Not Available].</ArticleTitle><VernacularTitle>Über alles.</VernacularTitle>"
    assert read(inner).title == "Über alles."
    assert read("").title == ""


@pytest.mark.parametrize(
    ("inner", "after", "retracted"),
    [
        (
            "<PublicationTypeList><PublicationType>Retracted Publication</PublicationType></PublicationTypeList>",
            "",
            True,
        ),
        ("", '<CommentsCorrectionsList><CommentsCorrections RefType="RetractionIn"/></CommentsCorrectionsList>', True),
        ("", '<CommentsCorrectionsList><CommentsCorrections RefType="RetractionOf"/></CommentsCorrectionsList>', False),
        (
            "<PublicationTypeList><PublicationType>Retraction of Publication</PublicationType></PublicationTypeList>",
            "",
            False,
        ),
    ],
)
def test_a_retracted_record_is_told_from_the_notice_that_retracts(inner: str, after: str, *, retracted: bool) -> None:
    assert read(inner, after=after).retracted is retracted
    assert read("<Abstract><AbstractText>x</AbstractText></Abstract>" + inner, after=after).retracted is retracted


def test_chapters_of_books_are_read() -> None:
    chapter = (
        '<PubmedBookArticle><BookDocument><PMID Version="1">20301425</PMID>'
        "<Book><BookTitle>GeneReviews</BookTitle></Book>"
        "<ArticleTitle>A <i>gene</i></ArticleTitle>"
        "<Abstract><AbstractText Label='CLINICAL'>Seen.</AbstractText></Abstract>"
        "</BookDocument></PubmedBookArticle>"
    )
    found = read_records(answer(chapter))
    assert found == {"20301425": Document("pubmed:20301425", "found", title="A gene", text="CLINICAL: Seen.")}
    without = chapter.replace("ArticleTitle", "Other")
    assert read_records(answer(without))["20301425"].title == "GeneReviews"


def test_ids_of_references_are_not_taken_for_records() -> None:
    cited = '<CommentsCorrections RefType="Cites"><PMID>99</PMID></CommentsCorrections>'
    after = f"<CommentsCorrectionsList>{cited}</CommentsCorrectionsList>"
    assert set(read_records(answer(article("", after=after)))) == {"7"}
    assert read_records(answer("<PubmedArticle/>", article("", number="x"), "<DeleteCitation/>")) == {}


def test_what_the_server_writes_is_read_as_it_expects() -> None:
    for number in map(str, range(1, 101)):
        records = read_records(answer(record_xml(number)))
        expected = expected_document(number)
        assert records == ({} if expected.status == "missing" else {number: expected})


ENTITIES = """<!DOCTYPE PubmedArticleSet [<!ENTITY secret SYSTEM "file:///etc/passwd"><!ENTITY word "expanded">]>"""
LAUGHS = (
    '<!DOCTYPE PubmedArticleSet [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]>"
)


@pytest.mark.parametrize("entity", ["&secret;", "&word;", ""])
def test_entities_are_never_expanded(entity: str) -> None:
    inner = f"<Abstract><AbstractText>{entity}</AbstractText></Abstract>"
    with pytest.raises(Failure, match="the XML declares entities, which are never expanded"):
        read_records(answer(article(inner), doctype=ENTITIES))


@pytest.mark.parametrize(
    "inner", ["<ArticleTitle>&a11;</ArticleTitle>", '<Abstract><AbstractText Label="&a11;">x</AbstractText></Abstract>']
)
def test_entities_that_would_fill_the_memory_do_not(inner: str) -> None:
    began = time.monotonic()
    with pytest.raises(Failure, match=r"entities|entity"):
        read_records(answer(article(inner), doctype=LAUGHS))
    assert time.monotonic() - began < 1


def test_an_entity_of_the_dtd_that_is_not_loaded_stays_as_it_is_written() -> None:
    doctype = (
        '<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD" "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">'
    )
    inner = "<Abstract><AbstractText>5&nbsp;mg</AbstractText></Abstract>"
    assert read_records(answer(article(inner), doctype=doctype))["7"].text == "5&nbsp;mg"


@pytest.mark.parametrize(
    "text", ["<PubmedArticleSet><PubmedArticle>", "<a/><b/>", "<PubmedArticleSet>\x01</PubmedArticleSet>", "<a>" * 1000]
)
def test_xml_that_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="invalid XML: "):
        read_records(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!DOCTYPE html><html><body><h1>We'll be back</h1> soon</body></html>", "came: We'll be back soon"),
        ("<HTML><p>Sorry</p></HTML>", "came: Sorry"),
        ('{"error":"API rate limit exceeded"}', 'came: {"error":"API rate limit exceeded"}'),
        ("", "something else than records came"),
        ("<eFetchResult><ERROR>Cannot</ERROR></eFetchResult>", "came: Cannot"),
    ],
)
def test_an_error_page_is_no_answer(text: str, words: str) -> None:
    with pytest.raises(Trouble) as caught:
        read_records(text)
    assert words in str(caught.value)
    with pytest.raises(Trouble, match="something else than records came"):
        read_records(answer(article("")), is_html=True)
