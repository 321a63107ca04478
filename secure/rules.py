import hashlib, pickle, random, requests, ssl, subprocess
from ldap3 import Tls

# ruleid: tls-is-verified
a = Tls()
# ruleid: tls-is-verified
a = Tls(validate=ssl.CERT_NONE)
# ok: tls-is-verified
a = Tls(validate=ssl.CERT_REQUIRED, version=2)

# ruleid: clouds-are-reached-through-the-transport
requests.get("https://cloud.example", timeout=3)
# ok: clouds-are-reached-through-the-transport
session.get("https://cloud.example")

# ruleid: keys-have-a-context
kms.decrypt(KeyId=key, CiphertextBlob=blob)
# ok: keys-have-a-context
kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=context)
# ruleid: keys-have-a-context
kms.generate_data_key_without_plaintext(KeyId=key)

# ruleid: the-key-is-pinned
kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
# ok: the-key-is-pinned
kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=context)

# ruleid: reads-are-consistent
client.get_item(TableName="vault", Key=key)
# ok: reads-are-consistent
client.get_item(TableName="vault", Key=key, ConsistentRead=True)

# ruleid: a-log-line-is-a-word-and-listed-fields
_LOG.info(f"user {name}")
# ruleid: a-log-line-is-a-word-and-listed-fields
_LOG.warning("user %s", name)
# ruleid: a-log-line-is-a-word-and-listed-fields
_LOG.exception("failed")
# ok: a-log-line-is-a-word-and-listed-fields
_LOG.info("user.departed", extra={"user_id": user})
# ok: a-log-line-is-a-word-and-listed-fields
_LOG.error("directory.%s", Fault.REFUSED.value, extra=extra)
# ruleid: a-log-line-is-a-word-and-listed-fields
_LOG.error("directory.%s", password, extra=extra)
# ok: a-log-line-is-a-word-and-listed-fields
_LOG.log(20, "request.refused", extra=extra)

# ruleid: no-secret-in-a-text
text = f"the token is {token.reveal()}"
# ok: no-secret-in-a-text
headers = {"Authorization": f"Bearer {token.reveal()}"}
# ok: no-secret-in-a-text
form = {"token": token.reveal()}


def refuse(token):
    # ruleid: no-secret-in-a-text
    raise ValueError(token.reveal())


# ruleid: ldap-filters-are-escaped
connection.search(base, f"(sAMAccountName={name})")
# ok: ldap-filters-are-escaped
connection.search(base, f"(sAMAccountName={escape_filter_chars(name)})")
# ok: ldap-filters-are-escaped
connection.search(base, "(objectClass=*)")

# ruleid: no-markup-past-the-escaping
Markup(text)
# ruleid: no-markup-past-the-escaping
Markup(f"<b>{name}</b>")
# ok: no-markup-past-the-escaping
Markup("<b>{}</b>").format(name)
# ok: no-markup-past-the-escaping
Environment(autoescape=True)

# ruleid: nothing-that-runs-what-it-reads
pickle.loads(data)
# ruleid: nothing-that-runs-what-it-reads
subprocess.run("ls", shell=True)
# ok: nothing-that-runs-what-it-reads
subprocess.run(["ls"])

# ruleid: chance-is-not-guessable
random.choice(words)
# ruleid: chance-is-not-guessable
hashlib.md5(data)
# ok: chance-is-not-guessable
hashlib.sha256(data)
