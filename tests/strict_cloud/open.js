// oidc-provider on loopback with its own log-in and consent pages: any name logs in, with any password.
// node open.js PORT REDIRECT_URI CLIENT_SECRET

import { Provider } from 'oidc-provider';

const [port, redirectUri, secret] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
  clients: [
    {
      client_id: 'vault',
      client_secret: secret,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  features: { revocation: { enabled: true } },
  findAccount: async (_, sub) => ({
    accountId: sub,
    claims: async () => ({ sub, email: `${sub}@fabrikam.example`, name: sub }),
  }),
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 600 },
});

provider.listen(Number(port), '127.0.0.1', () => console.log(JSON.stringify({ ready: true })));

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
