"""Whom mails reach: what comes back stops them, people choose, and what they must know comes in any case."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.ses_feedback import refusals_in
from chalicelib.domain.audit import AuditTag
from chalicelib.domain.event import GIVE_UP_SECONDS, Channel, EventKind
from chalicelib.domain.mail import KEPT_SECONDS, OPTIONAL, MailRefusal, RefusalKind
from tests.fakes.services import ORIGIN
from tests.samples import ALICE, NOW

from .test_event_service import World

BOUNCE: dict[str, Any] = {
    "eventType": "Bounce",
    "mail": {"messageId": "m1"},
    "bounce": {
        "bounceType": "Permanent",
        "bouncedRecipients": [{"emailAddress": ALICE.email, "status": "5.1.1"}, {"emailAddress": "b@c.example"}],
    },
}
COMPLAINT: dict[str, Any] = {
    "eventType": "Complaint",
    "complaint": {"complainedRecipients": [{"emailAddress": ALICE.email}]},
}


@pytest.fixture
def world() -> World:
    return World()


class TestFeedback:
    def test_a_bounce_that_is_permanent_and_a_complaint_count(self) -> None:
        assert list(refusals_in(BOUNCE, NOW)) == [
            MailRefusal(ALICE.email, RefusalKind.BOUNCED, NOW),
            MailRefusal("b@c.example", RefusalKind.BOUNCED, NOW),
        ]
        assert list(refusals_in(COMPLAINT, NOW)) == [MailRefusal(ALICE.email, RefusalKind.COMPLAINED, NOW)]

    @pytest.mark.parametrize(
        "detail",
        [
            {},
            {"eventType": "Open"},
            {"eventType": "Bounce"},
            {"eventType": "Bounce", "bounce": "x"},
            {"eventType": ["Bounce"], "bounce": {}},
            BOUNCE | {"bounce": BOUNCE["bounce"] | {"bounceType": "Transient"}},
            BOUNCE | {"bounce": BOUNCE["bounce"] | {"bouncedRecipients": ["x", {"emailAddress": 1}, {}]}},
            COMPLAINT | {"complaint": {"complainedRecipients": [{"emailAddress": "no address"}]}},
        ],
    )
    def test_nothing_else_does(self, detail: dict[str, Any]) -> None:
        assert list(refusals_in(detail, NOW)) == []


class TestSending:
    def test_an_address_that_refused_a_mail_gets_none_until_its_person_says_so(self, world: World) -> None:
        world.mail.refused([MailRefusal(ALICE.email.upper(), RefusalKind.BOUNCED, world.clock.now())])
        refusal = world.mail.standing(ALICE).refusal
        assert refusal is not None
        world.lose_alice()
        world.events.deliver_due()
        assert world.mails(Channel.PERSON) == []
        assert world.mails(Channel.ADMINISTRATORS) == ["grant.needs_reauthorization"]
        world.mail.accept(ALICE, ORIGIN)
        assert world.mail.standing(ALICE).refusal is None
        world.lose_alice()
        world.events.deliver_due()
        assert world.mails(Channel.PERSON) == ["grant.needs_reauthorization"]

    def test_an_administrators_address_is_left_out_and_where_none_is_left_it_is_said(self, world: World) -> None:
        team, second = "team@contoso.example", "second@contoso.example"
        world.events._outlets = replace(world.events._outlets, administrators=(team, second))
        world.mail.refused([MailRefusal(team, RefusalKind.BOUNCED, world.clock.now())])
        world.lose([1])
        world.events.deliver_due()
        assert [address for _, _, address in world.mailer.sent] == [second]
        world.mail.refused([MailRefusal(second, RefusalKind.BOUNCED, world.clock.now())])
        world.lose([2])
        for _ in range(GIVE_UP_SECONDS // 3600 + 2):
            world.deliver_later(3600)
        assert [one.error for one in world.events.lost()] == ["SES: every address has refused mail"]

    def test_it_is_tried_again_after_a_while(self, world: World) -> None:
        world.mail.refused([MailRefusal(ALICE.email, RefusalKind.COMPLAINED, world.clock.now() - KEPT_SECONDS)])
        assert world.mail.standing(ALICE).refusal is None
        world.lose_alice()
        world.events.deliver_due()
        assert world.mails(Channel.PERSON) == ["grant.needs_reauthorization"]

    def test_who_does_without_a_kind_gets_no_such_mail_and_no_word_of_its_end(self, world: World) -> None:
        world.mail.choose(ALICE, [EventKind.GRANT_ABOUT_TO_LAPSE], ORIGIN)
        assert world.mail.standing(ALICE).unwanted == {EventKind.GRANT_FAILING}
        world.fail_and_recover()
        assert world.mails(Channel.PERSON) == []
        assert world.mails(Channel.ADMINISTRATORS) == ["grant.failing", "grant.recovered"]

    def test_what_a_person_must_know_cannot_be_turned_off(self, world: World) -> None:
        world.mail.choose(ALICE, [], ORIGIN)
        assert world.mail.standing(ALICE).unwanted == set(OPTIONAL)
        assert EventKind.GRANT_NEEDS_REAUTHORIZATION not in OPTIONAL
        world.lose_alice()
        world.events.deliver_due()
        assert world.mails(Channel.PERSON) == ["grant.needs_reauthorization"]

    def test_r67_each_choice_is_in_the_log(self, world: World) -> None:
        world.mail.choose(ALICE, [], ORIGIN)
        world.mail.accept(ALICE, ORIGIN)
        entries = [one for one in world.audit_log.events if one.tag is AuditTag.MAIL_CHANGED]
        assert [one.facts for one in entries] == [
            {"unwanted": "grant.failing, grant.about_to_lapse"},
            {"address": ALICE.email},
        ]
