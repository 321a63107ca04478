"""Edits a domain controller's own database; a program for the system's Python, the only one that Samba's module has.

Arguments: smb.conf and sam.ldb. Reads one line of JSON each request, a list of steps that happen all or none, and
answers one line: {"results": [...]} or {"error": "..."}. Values travel in base64. It sees what the running controller
wrote and the other way round, since both lock the same files.
"""

import base64
import json
import sys

import ldb
from samba.auth import system_session
from samba.dsdb import DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID
from samba.param import LoadParm
from samba.samdb import SamDB

_FLAGS = {"add": ldb.FLAG_MOD_ADD, "replace": ldb.FLAG_MOD_REPLACE, "delete": ldb.FLAG_MOD_DELETE}
# A moment in the past is refused, even to the system, unless the module that keeps passwords is passed by
_PAST_ALLOWED = ["local_oid:%s:0" % DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID]  # noqa: UP031 - as Samba spells it


def values(encoded):
    return [base64.b64decode(value) for value in encoded]


def message(database, step, flag):
    made = ldb.Message(ldb.Dn(database, step["dn"]))
    for name, encoded in step["attributes"].items():
        made[name] = ldb.MessageElement(values(encoded), flag, name)
    return made


def search(database, step):
    found = database.search(step["base"], ldb.SCOPE_SUBTREE, step["filter"], step["attributes"])
    return [
        {"dn": str(entry.dn)}
        | {name: [base64.b64encode(bytes(value)).decode() for value in entry[name]] for name in entry if name != "dn"}
        for entry in found
    ]


def perform(database, step):
    """One step: search, create, move, erase, or one of _FLAGS on attributes."""
    kind = step["kind"]
    if kind == "search":
        return search(database, step)
    if kind == "create":
        return database.add(message(database, step, ldb.FLAG_MOD_ADD))
    if kind == "move":
        return database.rename(step["dn"], step["to"])
    if kind == "erase":
        return database.delete(step["dn"])
    controls = _PAST_ALLOWED if "pwdLastSet" in step["attributes"] else []
    return database.modify(message(database, step, _FLAGS[kind]), controls)


def answer(database, steps):
    database.transaction_start()
    try:
        results = [perform(database, step) for step in steps]
    except Exception as error:
        database.transaction_cancel()
        return {"error": f"{steps!r:.200}: {error}"}
    database.transaction_commit()
    return {"results": results}


def main():
    parameters = LoadParm(filename_for_non_global_lp=sys.argv[1])
    parameters.load(sys.argv[1])
    database = SamDB(url=sys.argv[2], session_info=system_session(), lp=parameters)
    for line in sys.stdin:
        print(json.dumps(answer(database, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
