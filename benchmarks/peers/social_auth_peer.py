"""python-social-auth under Django: one person's token fetched, on SQLite in a file, with its backend for Google.

`get` is of a token that is valid; `storm` of one that is expired, by many threads at once.
"""

import json
import os
import tempfile
import time
from pathlib import Path

import django
import loop
from django.conf import settings
from django.core.management import call_command

folder = tempfile.TemporaryDirectory()
settings.configure(
    SECRET_KEY="not a secret",
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "social_django"],
    AUTHENTICATION_BACKENDS=["social_core.backends.google.GoogleOAuth2"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(Path(folder.name) / "db.sqlite3"),
            "OPTIONS": {"timeout": 20},
        }
    },
    SOCIAL_AUTH_GOOGLE_OAUTH2_KEY="vault",
    SOCIAL_AUTH_GOOGLE_OAUTH2_SECRET="secret",
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User  # noqa: E402 - models come after the set-up
from django.db import connections  # noqa: E402
from social_core.backends.google import GoogleOAuth2  # noqa: E402
from social_django.models import UserSocialAuth  # noqa: E402
from social_django.utils import load_strategy  # noqa: E402

GoogleOAuth2.ACCESS_TOKEN_URL = os.environ["TOKEN_ENDPOINT"]
alice = User.objects.create_user("alice", "alice@contoso.example")


def stored(uid, refresh_token, age):
    tokens = {"access_token": "t" * 1200, "refresh_token": refresh_token, "expires_in": 3600}
    tokens["auth_time"] = int(time.time()) - age
    return UserSocialAuth.objects.create(user=alice, provider="google-oauth2", uid=uid, extra_data=tokens)


def fetch(uid):
    return UserSocialAuth.objects.get(user=alice, uid=uid).get_access_token(load_strategy())


def get():
    assert fetch("valid") == "t" * 1200  # noqa: S101 - a wrong answer is not a measurement


def storm(asked):
    """A round; a new refresh token begins anew."""
    asked = json.loads(asked)
    if "refresh_token" in asked:
        UserSocialAuth.objects.filter(uid="expired").delete()
        stored("expired", asked["refresh_token"], 7200)
    held = UserSocialAuth.objects.get(uid="expired")
    held.extra_data["auth_time"] = int(time.time()) - 7200
    held.save()
    return {"seconds": loop.at_once(asked["callers"], fetch_and_close)}


def fetch_and_close():
    try:
        fetch("expired")
    finally:
        connections.close_all()


stored("valid", "not used", 0)
loop.serve(get=get, storm=storm)
