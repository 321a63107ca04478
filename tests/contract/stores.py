"""All stores of the product on one AWS."""

from chalicelib.adapters.system import SystemRandom
from chalicelib.stores.administrators import DynamoAdministratorStore
from chalicelib.stores.audit_log import DynamoAuditLog
from chalicelib.stores.authorization_requests import DynamoAuthorizationRequestStore
from chalicelib.stores.client_applications import DynamoClientApplicationStore
from chalicelib.stores.copies import CopiedTable, DynamoCopyStore
from chalicelib.stores.cursors import DynamoCursorStore
from chalicelib.stores.grants import DynamoGrantStore
from chalicelib.stores.mail import DynamoMailStore
from chalicelib.stores.outbox import DynamoOutbox
from chalicelib.stores.provider_health import DynamoProviderHealthStore
from chalicelib.stores.providers import DynamoProviderStore
from chalicelib.stores.releases import DynamoReleaseStore
from chalicelib.stores.removals import DynamoRemovalStore
from chalicelib.stores.revocations import DynamoRevocationStore
from chalicelib.stores.seals import DynamoSealStore
from chalicelib.stores.sessions import DynamoSessionStore
from chalicelib.stores.stops import DynamoStopStore
from chalicelib.stores.tries import DynamoTryStore
from chalicelib.stores.usage import DynamoUsageStore
from chalicelib.stores.use_counts import DynamoUseCountStore
from chalicelib.stores.user_aliases import DynamoUserAliasStore
from chalicelib.stores.users import DynamoUserStore
from tests.aws import TABLES, Aws
from tests.fakes.system import FakeClock, FakeRandom
from tests.samples import NOW


class Stores:
    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        vault, keys, sessions = map(aws.table, TABLES)
        self.aliases = DynamoUserAliasStore(vault, SystemRandom())
        self.providers = DynamoProviderStore(vault, keys)
        self.grants = DynamoGrantStore(vault, keys, sessions)
        self.releases = DynamoReleaseStore(self.grants)
        self.users = DynamoUserStore(vault, self.aliases)
        self.applications = DynamoClientApplicationStore(vault)
        self.stops = DynamoStopStore(vault)
        self.copied_stops = DynamoStopStore(CopiedTable(vault, keys))
        self.copies = DynamoCopyStore(vault, keys, FakeClock(NOW))
        self.health = DynamoProviderHealthStore(vault)
        self.revocations = DynamoRevocationStore(vault)
        self.outbox = DynamoOutbox(vault)
        self.mail = DynamoMailStore(vault)
        self.removals = DynamoRemovalStore(vault)
        self.administrators = DynamoAdministratorStore(vault)
        self.sessions = DynamoSessionStore(sessions)
        self.requests = DynamoAuthorizationRequestStore(sessions)
        self.cursors = DynamoCursorStore(vault)
        self.seals = DynamoSealStore(vault, keys)
        self.uses = DynamoUseCountStore(vault)
        self.audit_log = DynamoAuditLog(vault, FakeClock(NOW), FakeRandom(), days=30)
        self.tries = DynamoTryStore(sessions)
        self.usage = DynamoUsageStore(sessions)
