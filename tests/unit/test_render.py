from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.domain.audit import AuditTag
from chalicelib.domain.authorization_request import ConsentProblem
from chalicelib.domain.removal import RemovalScope
from chalicelib.web.pages import AuthorizedDialog, ConsentFailedDialog, ErrorView, RemoveDialog
from chalicelib.web.render import Renderer, exact_moment, hour, moment
from tests.browser import gallery

PACKAGE = Path(__file__).parents[2] / "chalicelib"
DIALOGS = [name for name, (_, context) in gallery.PAGES.items() if context.get("dialog")]


class Outline(HTMLParser):
    """The elements of a page in their order, and its forms with the elements in each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.forms: list[list[tuple[str, dict[str, str | None]]]] = []
        self._in_form = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, dict(attrs))
        self.elements.append(element)
        if tag == "form":
            assert not self._in_form, "forms cannot be nested"
            self._in_form = True
            self.forms.append([])
        if self._in_form:
            self.forms[-1].append(element)

    def handle_endtag(self, tag: str) -> None:
        self._in_form = self._in_form and tag != "form"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(attribute))]


def words(html: str) -> str:
    """The text of a page in one line."""
    pieces: list[str] = []
    parser = HTMLParser()
    parser.handle_data = pieces.append  # type: ignore[method-assign]  # a whole subclass would say no more
    parser.feed(html)
    return " ".join("".join(pieces).split())


def providers(dialog: Any) -> str:
    context = {
        "nonce": "n",
        "viewer": gallery.ALICE,
        "cards": gallery.CARDS,
        "total": 3,
        "search": "",
        "dialog": dialog,
    }
    return Renderer("").page("providers.html", **context)


def removal(**changes: Any) -> str:
    context = gallery.PAGES["tokens"][1] | {"dialog": RemoveDialog(**changes)}
    return words(Renderer("").page("tokens.html", nonce="n", viewer=gallery.ADMIN, **context))


@pytest.mark.parametrize("name", gallery.PAGES)
def test_every_page_obeys_the_content_security_policy(name: str) -> None:
    outline = Outline(gallery.html(name))
    assert not outline.all("style")
    assert not [key for _, attributes in outline.elements for key in attributes if key == "style" or key[:2] == "on"]
    assert [(script["nonce"], (script["src"] or "")[:8]) for script in outline.all("script")] == [
        (gallery.NONCE, "/static/")
    ]


@pytest.mark.parametrize("name", gallery.PAGES)
def test_r9_every_form_that_changes_something_carries_the_token_and_no_other_does(name: str) -> None:
    for form in Outline(gallery.html(name)).forms:
        tokens = [attributes["value"] for _, attributes in form if attributes.get("name") == "csrf"]
        assert tokens == (["csrf-token"] if form[0][1]["method"] == "post" else [])


@pytest.mark.parametrize("name", gallery.PAGES)
def test_every_reference_inside_a_page_leads_to_one_element(name: str) -> None:
    outline = Outline(gallery.html(name))
    ids = outline.values("id")
    references = {
        reference
        for attribute in ("for", "form", "aria-labelledby", "aria-describedby")
        for value in outline.values(attribute)
        for reference in value.split()
    }
    assert len(ids) == len(set(ids))
    assert references <= set(ids)


VENDORS = {
    url
    for type_ in FileCatalogue().all()
    for url in (type_.app_page, type_.documentation, *(item.url for item in type_.checklist))
    if url
}


@pytest.mark.parametrize("name", gallery.PAGES)
def test_every_address_on_a_page_has_the_stage_prefix(name: str) -> None:
    outline = Outline(gallery.html(name, base_path="/prod"))
    addresses = [value for attribute in ("href", "src", "action") for value in outline.values(attribute)]
    outside = {address for address in addresses if address.startswith("https://")}
    assert all(address.startswith(("/prod/", "#")) or address in outside for address in addresses)
    ours = ("https://northwind.example/", *VENDORS)
    assert all(address.startswith(ours) for address in outside)


def test_the_gallery_shows_every_template() -> None:
    dialogs = {context["dialog"].template for _, context in gallery.PAGES.values() if context.get("dialog")}
    pages = {template for template, _ in gallery.PAGES.values()}
    there = {path.name for path in (PACKAGE / "templates").iterdir()}
    assert pages | dialogs == there - {
        "base.html",
        "macros.html",
        "audit_words.html",
        "removal_words.html",
        "mail.html",
    }


@pytest.mark.parametrize("name", DIALOGS)
def test_a_dialog_works_without_a_script(name: str) -> None:
    outline = Outline(gallery.html(name))
    page = next(attributes for tag, attributes in outline.elements if tag == "div")
    (dialog,) = outline.all("dialog")
    leaving = [form for form in outline.forms if "data-cancel" in form[0][1]]
    assert "inert" in page
    assert "open" in dialog
    assert [form[0][1]["method"] for form in leaving] == ["get"]


def test_a_page_without_a_dialog_is_not_inert() -> None:
    assert "inert" not in gallery.html("providers")


def test_names_are_escaped() -> None:
    card = replace(gallery.CONNECTED, name="<script>", account='"><b>')
    assert "<script>" not in providers(AuthorizedDialog(card, '"><b>', "<i>")).replace('<script nonce="n"', "")


def test_a_missing_name_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        Renderer("").page("sessions.html", nonce="n", viewer=gallery.ALICE)


def test_moment_reads_as_utc_and_carries_the_exact_time() -> None:
    assert moment(0) == "an unknown time"
    assert moment(1_795_408_920) == '<time datetime="2026-11-23T04:42:00Z">23 Nov 2026, 04:42 UTC</time>'


def test_an_hour_reads_as_one_and_never_as_not_yet() -> None:
    assert (
        hour(1_795_406_400) == '<time datetime="2026-11-23T04:00:00Z" data-hour>23 Nov 2026, 04:00 to 05:00 UTC</time>'
    )
    assert "23:00 to 00:00 UTC" in hour(1_795_406_400 + 19 * 3600)
    assert hour(None) == "Not yet"


def test_the_address_of_an_asset_changes_with_its_content() -> None:
    digest = sha256((PACKAGE / "static" / "app.css").read_bytes()).hexdigest()
    assert Renderer("/prod").asset("app.css") == f"/prod/static/app.css?v={digest[:8]}"


def test_only_administrators_see_manage_tokens_and_nobody_else_any_navigation() -> None:
    error = ErrorView(404, "There is nothing at this address.", "not_found", "r")
    pages = {
        viewer: words(Renderer("").page("error.html", nonce="n", viewer=viewer, error=error))
        for viewer in (gallery.ADMIN, gallery.ALICE, None)
    }
    assert "Manage tokens" in pages[gallery.ADMIN]
    assert "Manage tokens" not in pages[gallery.ALICE]
    assert "Signed-in browsers" in pages[gallery.ALICE]
    assert "Signed-in browsers" not in pages[None]
    assert "Sign out" not in pages[None]


@pytest.mark.parametrize(
    ("card", "unchanged"), [(gallery.CONNECTED, True), (gallery.OFFERED, False), (gallery.REMOVED, False)]
)
def test_a_failed_consent_speaks_of_an_earlier_authorization_only_if_there_is_one(card: Any, unchanged: bool) -> None:
    text = words(providers(ConsentFailedDialog(card, ConsentProblem.DENIED)))
    assert ("Your earlier authorization is unchanged." in text) is unchanged


@pytest.mark.parametrize("problem", ConsentProblem)
def test_trying_again_is_offered_unless_it_cannot_help(problem: ConsentProblem) -> None:
    text = words(providers(ConsentFailedDialog(gallery.CONNECTED, problem)))
    assert text.endswith("Close Try again") is (
        problem not in (ConsentProblem.MISCONFIGURED, ConsentProblem.NOT_STORABLE)
    )


def test_another_cloud_account_is_named_beside_the_one_of_before() -> None:
    text = words(providers(AuthorizedDialog(gallery.CONNECTED, "new@cloud.example", "old@cloud.example")))
    assert "different cloud account than before: new@cloud.example instead of old@cloud.example" in text
    assert "The authorization of old@cloud.example is being ended at Northwind Cloud." in text


def test_the_question_before_a_removal_counts_and_names() -> None:
    names = tuple(f"CONTOSO\\p{number}" for number in range(5))
    chosen = RemovalScope.TOKENS
    some = removal(scope=chosen, count=12, user_names=names, token_ids=("northwind.S-1",))
    assert "Remove 12 tokens?" in some
    assert "CONTOSO\\p4 and 7 more" in some
    assert "Remove 1 token?" in removal(scope=chosen, count=1, user_names=names[:1], token_ids=("northwind.S-1",))
    assert "Remove more than 1,000 tokens? This removes all tokens of Box." in removal(
        scope=RemovalScope.PROVIDER, count=1000, is_more=True, target_id="box", target_name="Box"
    )


@pytest.mark.parametrize("tag", AuditTag)
def test_every_word_of_the_audit_log_has_its_words_for_people(tag: AuditTag) -> None:
    assert f'"{tag}": "' in (PACKAGE / "templates" / "audit_words.html").read_text(encoding="utf-8")


def test_a_time_of_the_audit_log_has_its_second() -> None:
    assert exact_moment(gallery.NOW + 7) == (
        '<time datetime="2026-11-23T04:42:07Z" data-exact>23 Nov 2026, 04:42:07 UTC</time>'
    )


class Isolation(HTMLParser):
    """The texts of a page that stand outside every `<bdi>`, without what can hold no element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.outside: list[str] = []
        self._within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("bdi", "title", "option", "textarea", "pre"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.outside.append(data)


FROM_OUTSIDE = (
    *("Alice Adams", "Adele Administratorsdottir", "Northwind Cloud", "@contoso.example"),
    *("CONTOSO\\alice", "CONTOSO\\bob"),
)


@pytest.mark.parametrize("name", gallery.PAGES)
def test_r96_names_from_outside_are_isolated(name: str) -> None:
    outside = " ".join(Isolation(gallery.html(name)).outside)
    assert [text for text in FROM_OUTSIDE if text in outside] == []


def test_the_gallery_shows_names_from_outside() -> None:
    pages = "".join(map(gallery.html, gallery.PAGES))
    assert [text for text in FROM_OUTSIDE if text not in pages] == []
