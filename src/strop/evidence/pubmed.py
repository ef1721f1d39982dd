"""PubMed records: asked for in batches through NCBI's E-utilities, and read without trust in what comes.

Source: "The E-utilities In-Depth", NCBI, https://www.ncbi.nlm.nih.gov/books/NBK25499/ (EFetch); the records' elements:
https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from lxml import etree

from strop.evidence.addresses import read_address
from strop.evidence.asking import AGENT, Answer, Asker, status_words
from strop.evidence.attempts import Exhausted, Failure, Malformed, Refusal, TooLong, Trouble, attempted
from strop.evidence.charsets import decode
from strop.recipe.evidence import Fetch
from strop.records.evidence import Document, Status

_RECORDS = "PubmedArticleSet"
_NO_SUCH_IDS = b"ID list is empty"
_LONGEST_ERROR_BYTES = 2000
_LONGEST_QUOTE = 200
_HTML = re.compile(r"<!doctype html|<html", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
# What publishers have put where an abstract belongs.
_NO_ABSTRACT = re.compile(r"(an )?abstract (is )?(not )?available( from the publisher)?\.?", re.IGNORECASE)
_NO_TITLE = re.compile(r"\[?not available\]?\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Batch:
    """What became of the PubMed ids that were asked for together.

    Attributes:
        documents: One for every id.
        note: What was mended on the way, "" if nothing.
    """

    documents: tuple[Document, ...]
    note: str = ""


class PubMed:
    """Asks for PubMed records.

    Args:
        asker: Sends the requests.
        fetch: The recipe's section.
        key: The NCBI key, "" where there is none. It is sent in the body of requests to `fetch.pubmed_url` alone, and
            taken out of whatever comes back.
    """

    def __init__(self, asker: Asker, fetch: Fetch, key: str) -> None:
        self._asker = asker
        self._fetch = fetch
        self._key = key
        self._url = fetch.pubmed_url.rstrip("/") + "/efetch.fcgi"
        self._host = asker.hosts.of(self._url)

    async def get(self, ids: Sequence[str], keep: Callable[[Batch], None]) -> None:
        """Ask for records; a batch that cannot be read is halved until what is broken stands alone.

        Args:
            ids: PubMed ids, digits alone.
            keep: Called with every batch as soon as it is there: once, or several times where it was halved.
        """
        try:
            batch = await attempted(lambda: self._attempt(ids), self._fetch.n_attempts, self._fetch.backoff_seconds)
        except Refusal as refusal:
            return keep(_without_records(ids, "refused", str(refusal)))
        except Failure as failure:
            if isinstance(failure, Malformed | TooLong) and len(ids) > 1:
                middle = len(ids) // 2
                await self.get(ids[:middle], keep)
                return await self.get(ids[middle:], keep)
            reason = self._without_key(str(failure))
            if isinstance(failure, Exhausted):
                self._host.exhausted(reason)
            return keep(_without_records(ids, "failed", reason))
        self._host.served()
        return keep(batch)

    async def _attempt(self, ids: Sequence[str]) -> Batch:
        contact = self._fetch.contact.removeprefix("mailto:")
        form = {"db": "pubmed", "retmode": "xml", "id": ",".join(ids), "tool": AGENT}
        form |= {"email": contact} if "@" in contact else {}
        form |= {"api_key": self._key} if self._key else {}
        answer = await self._asker.ask(self._url, form)
        if self._key:
            answer = Answer(answer.status, answer.headers, answer.content.replace(self._key.encode(), b"***"))
        try:
            return _read_batch(ids, answer)
        except Malformed as malformed:
            if len(ids) > 1:
                raise
            raise Trouble(str(malformed)) from malformed  # nothing to be halved: it may have been damaged on the way

    def _without_key(self, words: str) -> str:
        return words.replace(self._key, "***") if self._key else words


def _read_batch(ids: Sequence[str], answer: Answer) -> Batch:
    if len(answer.content) < _LONGEST_ERROR_BYTES and _NO_SUCH_IDS in answer.content:
        return _without_records(ids, "missing", "PubMed has no such record")
    text, note = decode(answer.content, answer.charset)
    if answer.status != HTTPStatus.OK:
        raise Failure(f"{status_words(answer.status)}{_quoted(text)}")
    records = read_records(text, is_html="html" in answer.content_type)
    missing = {number: Document(f"pubmed:{number}", "missing", reason="PubMed has no such record") for number in ids}
    return Batch(tuple((missing | {n: record for n, record in records.items() if n in missing}).values()), note)


def _without_records(ids: Sequence[str], status: Status, reason: str) -> Batch:
    return Batch(tuple(Document(f"pubmed:{number}", status, reason=reason) for number in ids))


def read_records(text: str, *, is_html: bool = False) -> Mapping[str, Document]:
    """Read the answer of `efetch` with `db=pubmed` and `retmode=xml`.

    Entities are never expanded and nothing is loaded from elsewhere.

    Args:
        text: The XML.
        is_html: Whether the server says that it is HTML.

    Returns:
        For every record its PubMed id (digits) and the document.

    Raises:
        Trouble: Something else than records came, such as an error page.
        Malformed: The XML cannot be read.
        Failure: The XML declares entities, which records never do.
    """
    body = _XML_DECLARATION.sub("", text, count=1).lstrip("\ufeff \t\r\n")
    if is_html or not body.startswith("<") or _HTML.match(body):
        raise Trouble(f"something else than records came{_quoted(body)}")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True
    )
    try:
        root = etree.fromstring(body.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as error:
        raise Malformed(f"invalid XML: {error.msg}") from error
    declared: Any = root.getroottree().docinfo.internalDTD
    if declared is not None and declared.entities():
        raise Failure("the XML declares entities, which are never expanded")
    if root.tag != _RECORDS:
        raise Trouble(f"something else than records came{_quoted(body)}")
    records: dict[str, Document] = {}
    for record in root.iterchildren("PubmedArticle", "PubmedBookArticle"):
        body_path = "MedlineCitation" if record.tag == "PubmedArticle" else "BookDocument"
        document = _read_record(record.find(body_path))
        if document is not None:
            records.setdefault(document.address.removeprefix("pubmed:"), document)
    return records


def _read_record(record: etree._Element | None) -> Document | None:
    """A citation of an article or of a book; None where it has no id."""
    address = read_address("" if record is None else _text(record.find("PMID")))
    if record is None or address.kind != "pubmed":
        return None
    title = _title(record)
    paragraphs = _abstract(record)
    retracted = _is_retracted(record)
    if not paragraphs:
        reason = "the record has no abstract"
        return Document(address.canonical, "no_text", title=title, reason=reason, retracted=retracted)
    return Document(address.canonical, "found", title=title, text="\n".join(paragraphs), retracted=retracted)


def _title(record: etree._Element) -> str:
    for path in (
        "Article/ArticleTitle",
        "ArticleTitle",
        "Article/VernacularTitle",
        "VernacularTitle",
        "Book/BookTitle",
    ):
        title = _text(record.find(path))
        if title and not _NO_TITLE.fullmatch(title):
            return title
    return ""


def _abstract(record: etree._Element) -> list[str]:
    """Paragraphs of the abstract and of other English abstracts; of those in other languages where there is no more."""
    article = record.find("Article")
    main = (record if article is None else article).findall("Abstract")
    others = record.findall("OtherAbstract")
    english = [other for other in others if other.get("Language", "eng").lower() in ("eng", "en")]
    paragraphs = [paragraph for abstract in (*main, *english) for paragraph in _paragraphs(abstract)]
    if not paragraphs:
        paragraphs = [paragraph for abstract in others for paragraph in _paragraphs(abstract)]
    return list(dict.fromkeys(paragraphs))


def _paragraphs(abstract: etree._Element) -> list[str]:
    paragraphs = []
    for section in abstract.iterchildren("AbstractText"):
        text, label = _text(section), (section.get("Label") or "").strip().rstrip(":")
        if text and not _NO_ABSTRACT.fullmatch(text):
            paragraphs.append(f"{label}: {text}" if label and label.upper() != "UNLABELLED" else text)
    return paragraphs


def _is_retracted(record: etree._Element) -> bool:
    kinds = {_text(kind) for kind in record.iterfind(".//PublicationType")}
    notes = {note.get("RefType") for note in record.iterfind(".//CommentsCorrections")}
    return "Retracted Publication" in kinds or "RetractionIn" in notes


def _text(element: etree._Element | None) -> str:
    """All text inside an element, markup dropped, white space as single spaces."""
    if element is None:
        return ""
    return " ".join("".join(str(piece) for piece in element.itertext()).split())


def _quoted(text: str) -> str:
    """The beginning of what a server said, as one line without markup."""
    words = " ".join(re.sub(r"<[^>]*>", " ", text[: 20 * _LONGEST_QUOTE]).split())
    if not words:
        return ""
    return f": {words[:_LONGEST_QUOTE]}" + ("..." if len(words) > _LONGEST_QUOTE else "")
