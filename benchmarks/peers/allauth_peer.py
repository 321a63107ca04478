"""django-allauth's connections page: ten providers, five accounts connected, SQLite in memory, Django's test client."""

import django
import loop
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

PROVIDERS, CONNECTED = 10, 5
apps = [
    {
        "provider_id": f"cloud{number}",
        "name": f"Cloud {number}",
        "client_id": "vault",
        "secret": "secret",
        "settings": {"server_url": "https://cloud.example"},
    }
    for number in range(PROVIDERS)
]
settings.configure(
    SECRET_KEY="not a secret",
    DEBUG=False,
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SOCIALACCOUNT_PROVIDERS={"openid_connect": {"APPS": apps}},
)
django.setup()
call_command("migrate", verbosity=0)
urlpatterns = [path("accounts/", include("allauth.urls"))]

from allauth.socialaccount.models import SocialAccount  # noqa: E402 - models come after the set-up
from django.contrib.auth.models import User  # noqa: E402
from django.test import Client  # noqa: E402

alice = User.objects.create_user("alice", "alice@contoso.example")
for number in range(CONNECTED):
    SocialAccount.objects.create(user=alice, provider=f"cloud{number}", uid="alice", extra_data={"name": "Alice"})
browser = Client()
browser.force_login(alice)


def page():
    answer = browser.get("/accounts/3rdparty/")
    assert answer.content.count(b"Cloud ") >= PROVIDERS  # noqa: S101 - a wrong answer is not a measurement


loop.serve(page=page)
