// oidc-provider on loopback: every refresh rotates, and a refresh token that comes twice ends the whole grant.
// The protocol is the library's. Ours are the addresses under /test: to mint a grant without a browser, to count, and
// to say how the next answers of the token endpoint go wrong.

import { Provider } from 'oidc-provider';

const CLIENT = { id: 'vault', secret: 'a+b%2Fc&d=e' };
const SCOPES = 'openid offline_access';

const counts = { refreshes: 0, invalid_grant: 0 };
let faults = [];

const provider = new Provider('http://127.0.0.1', {
  clients: [
    {
      client_id: CLIENT.id,
      client_secret: CLIENT.secret,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://vault.example/oauth/callback/strict'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  clockTolerance: 0,
  features: { devInteractions: { enabled: false } },
  findAccount: async (_, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, Grant: 86400, RefreshToken: 86400 },
});

async function mint(accountId) {
  const client = await provider.Client.find(CLIENT.id);
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(SCOPES);
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId,
    client,
    expiresWithSession: false,
    grantId,
    gty: 'authorization_code',
    scope: SCOPES,
  });
  return { refresh_token: await token.save() };
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

provider.use(async (ctx, next) => {
  if (ctx.path === '/test/grant') {
    ctx.body = await mint(ctx.query.account);
  } else if (ctx.path === '/test/counts') {
    ctx.body = counts;
  } else if (ctx.path === '/test/faults') {
    faults = ctx.query.next.split(',').filter(Boolean);
    Object.assign(counts, { refreshes: 0, invalid_grant: 0 });
    ctx.body = {};
  } else if (ctx.path === '/token') {
    const fault = faults.shift();
    counts.refreshes += 1;
    if (fault === 'unavailable') {
      ctx.status = 503;
      return;
    }
    if (fault === 'slow') await pause(2000);
    await next();
    if (ctx.body?.error === 'invalid_grant') counts.invalid_grant += 1;
    if (fault === 'lost') ctx.req.socket.destroy();
  } else {
    await next();
  }
});

const server = provider.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ ready: true, issuer, client_id: CLIENT.id, client_secret: CLIENT.secret }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
